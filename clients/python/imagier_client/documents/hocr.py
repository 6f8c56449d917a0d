# SPDX-License-Identifier: Apache-2.0
"""An answer as hOCR 1.2: XHTML whose elements say in their title where their text stands."""

from __future__ import annotations

import math
from xml.etree import ElementTree as ET

from imagier_client import __version__
from imagier_client.documents.page import Block, blocks, box, corners, language, text_of, words, xml_text
from imagier_client.messages import Annotation
from imagier_client.tasks.ocr import TextLine
from imagier_client.tasks.registry import keywords
from imagier_client.tasks.shown import Point

PROLOGUE = b"""<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
"""
CAPABILITIES = "ocr_page ocr_carea ocr_par ocr_line ocrx_word ocrx_cinfo ocrp_poly ocrp_lang ocrp_wconf"
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"

Element = ET.Element


def to_hocr(annotation: Annotation, image: str) -> bytes:
    """The document, in UTF-8, of a picture whose file is called `image`.

    Coordinates are in pixels of the upright picture. Raises the OCR task's error; ValueError if OCR was not asked for.
    """
    text = text_of(annotation)
    page = blocks(text.lines)
    spoken = sorted({found for block in page if (found := language(block, page))})
    root = Element("html", {"xmlns": "http://www.w3.org/1999/xhtml"})
    head = _add(root, "head")
    _add(head, "title").text = xml_text(image)
    _add(head, "meta", {"http-equiv": "Content-Type", "content": "text/html; charset=utf-8"})
    models = ", ".join(f"{model.name} {model.version}" for model in text.models)
    for name, content in (
        ("ocr-system", f"imagier {__version__}" + (f" ({models})" if models else "")),
        ("ocr-capabilities", CAPABILITIES),
        ("ocr-number-of-pages", "1"),
        ("ocr-langs", " ".join(spoken) or "unknown"),
    ):
        _add(head, "meta", {"name": name, "content": content})
    if keys := [keyword.label for given in keywords(annotation.results).values() for keyword in given]:
        _add(head, "meta", {"name": "keywords", "content": ", ".join(keys)})
    # A quotation mark would end the name, and hOCR knows no escape for it.
    name = image.replace('"', "%22")
    title = f'image "{name}"; bbox 0 0 {annotation.width} {annotation.height}; ppageno 0'
    body = _add(_add(root, "body"), "div", {"class": "ocr_page", "id": "page_1", "title": title})
    ET.indent(root)
    _add_blocks(body, annotation, page)
    document: bytes = ET.tostring(root, encoding="utf-8")
    return PROLOGUE + document + b"\n"


def _add_blocks(body: Element, annotation: Annotation, page: list[Block]) -> None:
    number = 0
    for place, block in enumerate(page, 1):
        where = _bbox([point for line in block.lines for point in line.polygon], annotation)
        area = _add(body, "div", {"class": "ocr_carea", "id": f"block_{place}", "title": where}, "\n")
        paragraph = _add(area, "p", {"class": "ocr_par", "id": f"par_{place}", "title": where})
        if spoken := language(block, page):
            paragraph.set("lang", spoken)
            paragraph.set(_LANGUAGE, spoken)
        for line in block.lines:
            number += 1
            title = f"{_place(line.polygon, annotation)}{_direction(line, block, annotation)}"
            inner = _add(paragraph, "span", {"class": "ocr_line", "id": f"line_{number}", "title": title}, "\n")
            for which, word in enumerate(words(line), 1):
                title = f"{_place(word.polygon, annotation)}; x_wconf {round(word.confidence * 100)}"
                attributes = {"class": "ocrx_word", "id": f"word_{number}_{which}", "title": title}
                made = _add(inner, "span", attributes, " " if word.blank else "")
                for one in word.characters:
                    title = f"x_{_bbox(one.polygon, annotation).replace('bbox', 'bboxes')}; x_confs {round(one.confidence * 100)}"
                    _add(made, "span", {"class": "ocrx_cinfo", "title": title}).text = xml_text(one.text)
                if not word.characters:
                    made.text = xml_text(word.text)


def _place(points: tuple[Point, ...], annotation: Annotation) -> str:
    around = " ".join(f"{x} {y}" for x, y in corners(points, annotation))
    return f"{_bbox(points, annotation)}; poly {around}"


def _bbox(points: list[Point] | tuple[Point, ...], annotation: Annotation) -> str:
    around = box(points, annotation)
    return f"bbox {around.left} {around.top} {around.right} {around.bottom}"


def _direction(line: TextLine, block: Block, annotation: Annotation) -> str:
    """`baseline` for a line that runs to the right, `textangle` (counterclockwise) for a turned one; neither for a column."""
    if block.vertical:
        return ""
    if abs(block.rotation) > 45:
        return f"; textangle {-block.rotation % 360:.0f}"
    begin = line.polygon[3]
    slope = math.tan(math.radians(block.rotation))
    around = box(line.polygon, annotation)
    offset = begin.y + slope * (around.left - begin.x) - around.bottom
    return f"; baseline {slope:.3f} {round(offset)}"


def _add(parent: Element, name: str, attributes: dict[str, str] | None = None, tail: str = "") -> Element:
    made = ET.SubElement(parent, name, {key: xml_text(text) for key, text in (attributes or {}).items()})
    made.tail = tail
    return made
