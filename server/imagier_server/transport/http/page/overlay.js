// SPDX-License-Identifier: Apache-2.0
// The text's boxes over the picture, and the text itself over its own letters: transparent, and selectable where it stands.
import { el, svg } from "./elements.js";

const LETTER = 20; // pixels; the text is laid out at this size, then stretched onto its box
const CHINESE_JAPANESE = /[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]/;

/**
 * Draws the lines of an answer into `overlay`, which lies over a picture of the answer's shape.
 *
 * Coordinates are the answer's own pixels; one scale takes them to what is shown. `onLine(index | null)` says which line the
 * pointer is on. Returns `{highlight(index | null)}`.
 */
export function draw(overlay, answer, onLine) {
  const { width, height } = answer;
  const lines = answer.ocr?.lines ?? [];
  const boxes = svg("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  for (const word of lines.flatMap((line) => line.words ?? [])) boxes.append(polygon(word, "word"));
  const outlines = lines.map((line) => polygon(line, "line"));
  boxes.append(...outlines);
  const letters = el("div", { className: "letters" });
  letters.style.width = `${width}px`;
  letters.style.height = `${height}px`;
  overlay.replaceChildren(boxes, letters);

  const highlight = (index) => outlines.forEach((outline, i) => outline.classList.toggle("on", i === index));
  lines.forEach((line, index) => {
    const text = el("span", { textContent: line.text });
    letters.append(text, el("br")); // for whoever copies several lines
    lay(text, corners(line));
    text.addEventListener("pointerenter", () => onLine(index));
    text.addEventListener("pointerleave", () => onLine(null));
  });
  fit(overlay, width);
  return { highlight };
}

/** Scales the letters to the picture as it is shown now. */
export function fit(overlay, width) {
  const letters = overlay.querySelector(".letters");
  if (letters) letters.style.transform = `scale(${overlay.clientWidth / width})`;
}

export const clear = (overlay) => overlay.replaceChildren();

const corners = ({ polygon: points }) => points.map(({ x = 0, y = 0 }) => [x, y]);

function polygon(part, name) {
  return svg("polygon", { class: name, points: corners(part).map((point) => point.join(",")).join(" ") });
}

/** Stretches a text onto its four corners, which run clockwise as read from where reading begins. */
function lay(text, [first, second, , last]) {
  text.style.fontSize = text.style.lineHeight = `${LETTER}px`;
  const along = [second[0] - first[0], second[1] - first[1]];
  const across = [last[0] - first[0], last[1] - first[1]];
  // A column of Chinese or Japanese stands upright and is read downwards.
  const column = along[1] > Math.abs(along[0]) && CHINESE_JAPANESE.test(text.textContent);
  text.classList.toggle("column", column);
  const long = (column ? text.offsetHeight : text.offsetWidth) || 1;
  const [origin, right, down] = column
    ? [last, [-across[0] / LETTER, -across[1] / LETTER], [along[0] / long, along[1] / long]]
    : [first, [along[0] / long, along[1] / long], [across[0] / LETTER, across[1] / LETTER]];
  text.style.transform = `matrix(${[...right, ...down, ...origin].map((value) => value.toFixed(5)).join()})`;
}
