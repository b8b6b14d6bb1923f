import { act } from "./api.js";
import { byId, el, titled } from "./dom.js";

const panel = byId("trail");
const open = byId("show-trail");
const OUTCOMES = {
  toxic: "Likely toxic", maybe_toxic: "May be toxic", fine: "No clear sign of toxicity", cannot_judge: "Cannot be judged",
};
let shown = "";

/** Show the trail of the latest request. */
export function showTrail(trail, channels) {
  const json = JSON.stringify(trail);
  if (!trail || json === shown) return;
  shown = json;
  const opened = [...panel.querySelectorAll("details[open]")].map((one) => one.dataset.name);
  byId("trail-body").replaceChildren(...parts(trail, channels));
  for (const name of opened) panel.querySelector(`details[data-name="${name}"]`)?.setAttribute("open", "");
}

function parts(trail, channels) {
  const answered = trail.answered_at === null ? "" : `Answered after ${duration(trail.answered_at)}. `;
  const waiting = trail.private
    ? "The text went directly to the worker. A backup job with ids only stays on the queue for a while."
    : `${count(trail.waiting, "job")} still in progress.`;
  const left = trail.waiting ? waiting : "Nothing is left on the queue.";
  return [
    el("p", { class: "trail-about" }, sentence(trail, channels)),
    counters(trail),
    el("p", { class: "muted", id: "trail-state", "data-number": trail.number }, trail.jobs ? answered + left : withoutJob(trail)),
    trail.figures.outcome ? figures(trail) : "",
    el("h3", {}, "Steps"),
    hops(trail.hops),
    trail.job ? fold("job", "The job on the queue: ids only", trail.job) : "",
    Object.keys(trail.row).length ? fold("row", "The ledger's row", trail.row) : "",
  ].filter(Boolean);
}

function withoutJob({ deliveries, hops: all }) {
  if (!deliveries) return "In progress.";
  return all.length > deliveries ? "Done without a job." : "The bot ignores this, so there is no job.";
}

function sentence(trail, channels) {
  const person = document.querySelector(`[name="person"][value="${CSS.escape(trail.person)}"]`)?.dataset.name;
  const channel = channels.find((one) => one.id === trail.channel);
  return `${titled(person)} ${trail.what}${channel ? ` in ${channel.name}` : ""}`;
}

function counters(trail) {
  const shown = [
    ["deliveries", trail.deliveries], ["jobs", trail.jobs], ["attempts", trail.attempts],
    ["post attempts", trail.posts], ["answers", trail.answers],
  ];
  return el("dl", { class: "counters" }, ...shown.map(([label, value]) =>
    el("div", { "data-count": label }, el("dt", {}, label), el("dd", {}, String(value)))));
}

function figures({ figures: { outcome, score }, words }) {
  const points = score === undefined ? "" : ` – ${Math.round(100 * score)} of 100`;
  const bar = el("div", { class: "bar", "aria-hidden": "true" }, el("div", { class: "bar-filled" }));
  bar.style.setProperty("--share", score ?? 0);
  return el("div", { class: "figures-box", "data-outcome": outcome },
    el("p", { class: "outcome" }, `${OUTCOMES[outcome]}${points}`), bar,
    words ? el("p", {}, "Weighed most: ", el("strong", {}, words)) : "");
}

function hops(all) {
  const end = Math.max(1, ...all.map((hop) => hop.at + hop.milliseconds));
  return el("ol", { class: "hops" }, ...all.map((hop) => {
    const bar = el("div", { class: "hop-bar", "aria-hidden": "true" }, el("div", {}));
    bar.style.setProperty("--from", hop.at / end);
    bar.style.setProperty("--width", hop.milliseconds / end);
    const attempt = hop.attempt > 1 ? el("span", { class: "badge" }, `attempt ${hop.attempt}`) : "";
    return el("li", { class: hop.error ? "hop failed" : "hop" },
      el("p", { class: "hop-line" }, el("span", { class: "way" }, hop.way), attempt,
        el("span", { class: "ms" }, duration(hop.milliseconds))),
      el("p", { class: "muted" }, hop.error ? `${hop.what}: ${hop.error.replaceAll("_", " ")}` : hop.what), bar);
  }));
}

function fold(name, title, fields) {
  return el("details", { "data-name": name }, el("summary", {}, title),
    el("pre", { tabindex: "0", "aria-label": title }, JSON.stringify(fields, null, 2)));
}

const count = (number, word) => `${number} ${word}${number === 1 ? " is" : "s are"}`;
const duration = (ms) => ms >= 1000 ? `${(ms / 1000).toFixed(1)} s` : `${ms.toFixed(ms < 10 ? 1 : 0)} ms`;

for (const box of document.querySelectorAll('[name="trouble"]')) {
  box.addEventListener("change", () => {
    const kinds = [...document.querySelectorAll('[name="trouble"]:checked')].map((one) => one.value);
    act("switch", { kinds });
  });
}

// On a narrow screen, the panel opens over the channel.
function show(visible) {
  panel.classList.toggle("is-open", visible);
  open.setAttribute("aria-expanded", visible);
  (visible ? byId("hide-trail") : open).focus();
}
open.addEventListener("click", () => show(true));
byId("hide-trail").addEventListener("click", () => show(false));
panel.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && panel.classList.contains("is-open")) show(false);
});
