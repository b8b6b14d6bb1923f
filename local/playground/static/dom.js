// Content is added as text nodes only, so that nothing that people type is parsed as markup.

/** Create an element. `properties` are attributes, or event listeners if the value is a function. */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== ""));
  return element;
}

/** Capitalize a name. */
export const titled = (name) => name.charAt(0).toUpperCase() + name.slice(1);

export const byId = (id) => document.getElementById(id);

/** Give `parent` one child for each item, in order. Keep children whose item has not changed. */
export function reconcile(parent, items, make) {
  const before = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  // If no item was shown before, as in another channel, none of them is new.
  const goesOn = items.some(({ key }) => before.has(key));
  items.forEach(({ key, item }, place) => {
    const json = JSON.stringify(item);
    let child = before.get(key);
    before.delete(key);
    if (!child || (child.dataset.json !== json && !child.dataset.busy)) {
      const made = make(item);
      made.dataset.key = key;
      made.dataset.json = json;
      if (child) {
        const focused = child.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
        child.replaceWith(made);
        if (focused) made.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
      } else if (goesOn) {
        made.classList.add("is-new");
      }
      child = made;
    }
    if (parent.children[place] !== child) parent.insertBefore(child, parent.children[place] ?? null);
  });
  for (const child of before.values()) child.remove();
}
