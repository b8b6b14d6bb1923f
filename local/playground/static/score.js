import { act } from "./api.js";
import { byId, el } from "./dom.js";

const WAIT = 200; // ms after the last key press
const text = byId("score-text");
const toxic = byId("toxic");
const maybe = byId("maybe");
const WORDS = { toxic: "likely toxic", maybe_toxic: "may be toxic", fine: "no clear sign of toxicity" };
let timer = 0;
let latest = 0;

function later() {
  showThresholds();
  clearTimeout(timer);
  timer = setTimeout(score, WAIT);
}

function showThresholds() {
  byId("toxic-value").textContent = Number(toxic.value).toFixed(2);
  byId("maybe-value").textContent = Number(maybe.value).toFixed(2);
  byId("verdict").style.setProperty("--from-toxic", toxic.value);
  byId("verdict").style.setProperty("--from-maybe", maybe.value);
}

async function score() {
  const asked = ++latest;
  if (!text.value.trim()) return show({ outcome: "", score: null, folded: "", windows: [], reason: "" });
  const found = await act("score", { text: text.value, toxic: Number(toxic.value), maybe: Number(maybe.value) });
  // Ignore a late response, which is for an older text.
  if (found && asked === latest) show(found);
}

function show(found) {
  const share = found.score ?? found.raw_score;
  const judged = found.score !== null;
  byId("verdict").dataset.outcome = found.outcome;
  byId("verdict").style.setProperty("--score", share ?? 0);
  byId("needle").hidden = share === undefined || share === null;
  byId("verdict-score").textContent = judged ? (100 * found.score).toFixed(1) : "–";
  byId("verdict-words").textContent = judged ? WORDS[found.outcome] : found.outcome ? "cannot be judged" : "Nothing to score yet";
  byId("verdict-why").textContent = why(found, judged);
  byId("score-news").textContent = judged ? `${(100 * found.score).toFixed(0)} of 100, ${WORDS[found.outcome]}` : found.reason;
  byId("folded").replaceChildren(...marked(found.folded));
  const worst = Math.max(...found.windows.map((one) => one.toxicity));
  byId("windows-about").textContent = found.windows.length > 1
    ? `${found.windows.length} overlapping windows were read. The most toxic one counts.`
    : "A long text is read in overlapping windows. The most toxic one counts.";
  byId("windows").replaceChildren(...found.windows.map((one) => windowItem(one, one.toxicity === worst)));
}

/** Mark the words that differ from what was typed. */
function marked(folded) {
  const typed = new Set(text.value.split(/\s+/));
  return folded.split(/(\s+)/).map((word) => (word.trim() && !typed.has(word) ? el("mark", {}, word) : word));
}

function why(found, judged) {
  if (!judged) return found.reason ? `The bot does not judge this text: ${found.reason}` : "";
  const heavy = found.words.length ? `Weighed most: ${found.words.map((word) => `“${word}”`).join(", ")}. ` : "";
  const rest = found.rest === null ? "" : `Score without these words: ${(100 * found.rest).toFixed(0)}. `;
  const read = found.share < 1 ? `${(100 * found.share).toFixed(0)} % of the text was read. ` : "";
  return `${heavy}${rest}${read}${found.milliseconds.toFixed(0)} ms.`;
}

function windowItem({ text: words, toxicity }, worst) {
  const bar = el("div", { class: "bar", "aria-hidden": "true" }, el("div", { class: "bar-filled" }));
  bar.style.setProperty("--share", toxicity);
  return el("li", { class: worst ? "worst" : null },
    el("p", { class: "window-score" }, toxicity.toFixed(2), worst ? " (counts)" : ""), bar, el("p", { class: "window-text" }, words));
}

text.addEventListener("input", later);
toxic.addEventListener("input", () => { if (Number(maybe.value) > Number(toxic.value)) maybe.value = toxic.value; later(); });
maybe.addEventListener("input", () => { if (Number(maybe.value) > Number(toxic.value)) toxic.value = maybe.value; later(); });
byId("reset-thresholds").addEventListener("click", ({ currentTarget }) => {
  toxic.value = currentTarget.dataset.toxic;
  maybe.value = currentTarget.dataset.maybe;
  later();
});
for (const button of document.querySelectorAll("[data-example]")) {
  button.addEventListener("click", () => { text.value = button.textContent; later(); });
}
showThresholds();
