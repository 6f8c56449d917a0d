// SPDX-License-Identifier: Apache-2.0
// Takes a picture: dropped anywhere, pasted, chosen, or one of the examples. Shows it, if a browser can.
import { byId, el } from "./elements.js";
import * as words from "./words.js";

const EXAMPLES = ["street-sign", "receipt", "tea-house"];

/** `take(file)` gets each picture; `refuse()` is called for what holds none. */
export function listen(take, refuse) {
  const receive = (transfer) => {
    const file = [...transfer.files].find(maybePicture) ?? transfer.files[0];
    if (file) take(file);
    else refuse();
  };
  byId("file").addEventListener("change", ({ target }) => {
    if (target.files[0]) take(target.files[0]);
    target.value = ""; // so that the same file can be chosen again
  });
  let inside = 0;
  const veil = (shown) => (byId("veil").hidden = !shown);
  addEventListener("dragenter", (event) => {
    event.preventDefault();
    inside += 1;
    veil(true);
  });
  addEventListener("dragleave", () => {
    inside -= 1;
    if (inside <= 0) veil(false);
  });
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    inside = 0;
    veil(false);
    receive(event.dataTransfer);
  });
  addEventListener("paste", (event) => {
    // Words pasted into a field are nothing of ours.
    if (event.clipboardData.files.length) receive(event.clipboardData);
    else if (!event.target.closest?.("input")) refuse();
  });
}

export function showExamples(take) {
  byId("examples").replaceChildren(...EXAMPLES.map((name) => {
    const label = el("span", { dataset: { text: `examples.${name}` } }, words.say(`examples.${name}`));
    const picture = el("img", { src: `page/examples/${name}-small.webp`, alt: "", width: 180, height: 240 });
    const button = el("button", { type: "button", className: "example" }, picture, label);
    button.dataset.example = name;
    button.addEventListener("click", async () => {
      const answer = await fetch(`page/examples/${name}.webp`).catch(() => null);
      take(answer?.ok ? new File([await answer.blob()], `${name}.webp`, { type: "image/webp" }) : null);
    });
    return el("li", {}, button);
  }));
}

let shownAddress = null;

/** Shows the picture; false if this browser cannot. */
export async function preview(file) {
  const image = byId("shown");
  if (shownAddress) URL.revokeObjectURL(shownAddress);
  shownAddress = URL.createObjectURL(file);
  image.src = shownAddress;
  const shown = await image.decode().then(() => image.naturalWidth > 0, () => false);
  image.hidden = !shown;
  byId("blank").hidden = shown;
  return shown;
}

/** Gives the place of a picture that cannot be shown its shape. */
export function shape(width, height) {
  const blank = byId("blank");
  blank.style.aspectRatio = `${width} / ${height}`;
  blank.style.setProperty("--shape", width / height);
}

const maybePicture = (file) => file.type.startsWith("image/") || /\.(heic|heif|tiff?|avif|jp2|dng|nef|cr2|arw|pef)$/i.test(file.name);
