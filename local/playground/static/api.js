import { byId } from "./dom.js";

/** Ask the server to do something; a refusal is shown, and `null` returned. */
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
    tell("The playground does not answer. Is make playground still running?");
    return null;
  }
}

export function tell(sentence) {
  byId("problem").textContent = sentence;
}
