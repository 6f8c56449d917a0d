// SPDX-License-Identifier: Apache-2.0
// Makes elements. Text is always text: no markup is ever parsed from a string.

export const byId = (id) => document.getElementById(id);

/** An element: properties, `dataset`, attributes (with a hyphen, or `role`, `for`), then children: nodes or strings. */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name === "dataset") Object.assign(element.dataset, value);
    else if (name.includes("-") || name === "role" || name === "for" || name === "lang") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** The same for SVG; all properties are attributes. */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Copies a text; where the clipboard is closed to pages (plain http), it selects the element that shows it. */
export async function copy(text, shownBy) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    getSelection().selectAllChildren(shownBy);
    return document.execCommand("copy");
  }
}
