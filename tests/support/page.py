# SPDX-License-Identifier: Apache-2.0
"""The page as a person uses it: brings a picture, reads the answer, sees where its text is drawn."""

from __future__ import annotations

import base64
import json
from typing import Any

from support.browser import Browser
from support.site import file_of, scene

READY = "document.querySelector('#form input') && document.body.dataset.state === 'empty'"
ANSWERED = "document.body.dataset.state === 'answered'"
FAILED = "document.querySelector('#trouble').dataset.kind === arguments[0]"
# Files into the page as a person brings them; the file's bytes travel as base64.
BRING = """
const [kind, encoded, name, type] = arguments;
const bytes = Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0));
const transfer = new DataTransfer();
transfer.items.add(new File([bytes], name, { type }));
if (kind === "paste") document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true }));
else for (const step of ["dragenter", "dragover", "drop"])
  document.body.dispatchEvent(new DragEvent(step, { dataTransfer: transfer, bubbles: true, cancelable: true }));
"""


def bring(page: Browser, content: bytes, name: str = "scene.png", mime: str = "image/png", kind: str = "drop") -> None:
    page.script(BRING, kind, base64.b64encode(content).decode(), name, mime)


def answered(page: Browser, content: bytes | None = None, **bringing: str) -> dict[str, Any]:
    """Brings a picture, waits for its answer; the answer as the page shows it in JSON."""
    bring(page, file_of(scene()) if content is None else content, **bringing)
    page.until(f"({ANSWERED}) && !document.querySelector('#results').hidden")
    answer: dict[str, Any] = json.loads(page.find("#call-answer pre").get_attribute("textContent"))
    return answer


def on_screen(page: Browser) -> list[list[tuple[float, float]]]:
    """The corners of each drawn line, in pixels of the picture as the browser itself shows it."""
    return page.script("""
      const image = document.querySelector('#frame img:not([hidden]), #blank:not([hidden])').getBoundingClientRect();
      return [...document.querySelectorAll('#overlay polygon.line')].map((shape) => [...shape.points].map((point) => {
        const { x, y } = point.matrixTransform(shape.getScreenCTM());
        return [(x - image.left) / image.width, (y - image.top) / image.height];
      }));""")
