import { act } from "./api.js";
import { byId, el, titled } from "./dom.js";

const dialog = byId("form");
let shown = "";
let forms = [];

const me = () => document.querySelector('[name="person"]:checked');

/** Show the open form of the current person, if there is one. */
export function showForms(now) {
  forms = now;
  const form = forms.find((one) => one.user === me().value);
  const json = JSON.stringify(form ?? "");
  if (json === shown) return;
  shown = json;
  if (!form) return dialog.close();
  const inputs = form.inputs.map(({ most }, place) => el("textarea", { id: `form-${place}`, rows: "3", maxlength: most }));
  const labels = form.inputs.map(({ label }, place) => el("label", { for: `form-${place}` }, label));
  const send = (event) => {
    event.preventDefault();
    act("send_form", { user: form.user, note: inputs[0]?.value ?? "" });
  };
  dialog.replaceChildren(el("form", { submit: send },
    el("h2", { id: "form-title" }, form.title),
    el("p", { class: "muted" }, `As ${titled(me().dataset.name)}`),
    ...form.texts.map((text) => el("p", {}, text)),
    ...inputs.flatMap((input, place) => [labels[place], input]),
    el("div", { class: "form-row" },
      form.submit ? el("button", { type: "submit", class: "primary" }, form.submit) : "",
      el("button", { type: "button", class: "quiet", click: close }, form.close))));
  if (!dialog.open) dialog.showModal();
}

const close = () => act("close_form", { user: me().value });

dialog.addEventListener("cancel", (event) => { event.preventDefault(); close(); });
byId("people").addEventListener("change", () => showForms(forms));
