import { byId } from "./dom.js";

/** Ask the server to run an action. On an error, show it and return `null`. */
export async function act(name, fields) {
  try {
    const response = await fetch(`/do/${name}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(fields),
    });
    const answer = await response.json();
    tell(response.ok ? "" : answer.error);
    return response.ok ? answer : null;
  } catch {
    tell("The playground does not respond. Is make playground still running?");
    return null;
  }
}

export function tell(sentence) {
  byId("problem").textContent = sentence;
}
