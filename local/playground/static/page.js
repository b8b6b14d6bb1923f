import { byId } from "./dom.js";
import { showChannels } from "./channel.js";
import { showForms } from "./form.js";
import { showTrail } from "./trail.js";
import "./score.js";

const tabs = [...document.querySelectorAll('[role="tab"]')];

function select(tab) {
  for (const one of tabs) {
    const selected = one === tab;
    one.setAttribute("aria-selected", selected);
    one.tabIndex = selected ? 0 : -1;
    byId(one.getAttribute("aria-controls")).hidden = !selected;
  }
}

for (const tab of tabs) {
  tab.addEventListener("click", () => select(tab));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length];
    select(next);
    next.focus();
  });
}

const events = new EventSource("/events");
events.addEventListener("message", (event) => {
  const state = JSON.parse(event.data);
  showChannels(state.channels);
  showForms(state.forms);
  showTrail(state.trail, state.channels);
  for (const box of document.querySelectorAll('[name="trouble"]')) box.checked = state.trouble.includes(box.value);
  connected(true);
});
events.addEventListener("error", () => connected(false));

function connected(live) {
  const line = byId("connection");
  const words = live ? "Live" : "Not connected: is make playground still running?";
  if (line.textContent !== words) line.textContent = words;
  line.dataset.live = live;
}
