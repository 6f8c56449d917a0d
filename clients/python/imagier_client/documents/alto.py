# SPDX-License-Identifier: Apache-2.0
"""An answer as ALTO 4.3, the Library of Congress's format for the text of pages and where it stands."""

from __future__ import annotations

import statistics
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from imagier_client import __version__
from imagier_client.documents.page import Block, Box, blocks, box, corners, language, text_of, words, xml_text
from imagier_client.messages import Annotation
from imagier_client.tasks.ocr import Ocr, TextLine
from imagier_client.tasks.registry import keywords
from imagier_client.tasks.shown import Point
from imagier_client.tasks.task import TaskResult

VERSION = "4.3"
NAMESPACE = "http://www.loc.gov/standards/alto/ns-v4#"
SCHEMA = "http://www.loc.gov/standards/alto/v4/alto-4-3.xsd"
_STRAIGHT = 0.5  # degrees: less is noise

Element = ET.Element


def to_alto(annotation: Annotation, image: str, when: datetime) -> bytes:
    """The document, in UTF-8, of a picture whose file is called `image` and that was read at `when`.

    Coordinates are in pixels of the upright picture. Raises the OCR task's error; ValueError if OCR was not asked for.
    """
    text = text_of(annotation)
    root = Element(
        "alto",
        {
            "xmlns": NAMESPACE,
            "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
            "xsi:schemaLocation": f"{NAMESPACE} {SCHEMA}",
            "SCHEMAVERSION": VERSION,
        },
    )
    _describe(_add(root, "Description"), annotation, image, when)
    if found := [keyword for given in keywords(annotation.results).values() for keyword in given]:
        kept = _add(root, "Tags")
        for number, keyword in enumerate(found, 1):
            content = {"LABEL": keyword.label, "DESCRIPTION": keyword.description}
            _add(kept, "OtherTag", ID=f"tag_{number}", TYPE="content", **content)
    size = _numbers(WIDTH=annotation.width, HEIGHT=annotation.height)
    page = _add(_add(root, "Layout"), "Page", ID="page_1", PHYSICAL_IMG_NR="1", PROCESSINGREFS="text", **size)
    if text.lines:
        page.set("PC", f"{statistics.mean(line.confidence for line in text.lines):.3f}")
    space = _add(page, "PrintSpace", ID="space_1", HPOS="0", VPOS="0", **size)
    _add_blocks(space, annotation, blocks(text.lines))
    ET.indent(root)
    document: bytes = ET.tostring(root, encoding="UTF-8", xml_declaration=True)
    return document + b"\n"


def _describe(description: Element, annotation: Annotation, image: str, when: datetime) -> None:
    _add(description, "MeasurementUnit").text = "pixel"
    _add(_add(description, "sourceImageInformation"), "fileName").text = xml_text(image)
    for name in (Ocr.task, *keywords(annotation.results)):
        result = annotation.results[name]
        step = _add(description, "Processing", ID=name)
        _add(step, "processingCategory").text = "contentGeneration"
        _add(step, "processingDateTime").text = when.astimezone(UTC).isoformat(timespec="seconds")
        _add(step, "processingStepDescription").text = f"{name}: {_status(result)}"
        _add(step, "processingStepSettings").text = "; ".join(f"{m.name}: {m.version}" for m in result.models)
        software = _add(step, "processingSoftware")
        _add(software, "softwareName").text = "Imagier"
        _add(software, "softwareVersion").text = __version__


def _status(result: TaskResult) -> str:
    return "OK" if result.error is None else result.error.reason or result.error.code


def _add_blocks(space: Element, annotation: Annotation, page: list[Block]) -> None:
    number = 0
    for place, block in enumerate(page, 1):
        around = box((point for line in block.lines for point in line.polygon), annotation)
        made = _add(space, "TextBlock", ID=f"block_{place}", **_at(around))
        if block.vertical:
            made.set("BASEDIRECTION", "ttb")
        elif abs(block.rotation) >= _STRAIGHT:
            made.set("ROTATION", f"{-block.rotation:.1f}")  # ALTO counts counterclockwise
        if spoken := language(block, page):
            made.set("LANG", spoken)
        for line in block.lines:
            number += 1
            inner = _add(made, "TextLine", ID=f"line_{number}", **_at(box(line.polygon, annotation)))
            if not block.vertical:
                end, begin = corners(line.polygon[2:], annotation)
                inner.set("BASELINE", _points([begin, end]))
            _shape(inner, line.polygon, annotation)
            _add_words(inner, line, f"word_{number}", annotation)


def _add_words(parent: Element, line: TextLine, name: str, annotation: Annotation) -> None:
    for number, word in enumerate(parts := words(line), 1):
        here = box(word.polygon, annotation)
        string = _add(parent, "String", ID=f"{name}_{number}", **_at(here), CONTENT=word.text)
        string.set("WC", f"{word.confidence:.3f}")
        if word.characters:  # 0 for sure, 9 for unsure
            string.set("CC", " ".join(str(round(9 - 9 * one.confidence)) for one in word.characters))
        _shape(string, word.polygon, annotation)
        for one in word.characters:
            glyph = _add(string, "Glyph", **_at(box(one.polygon, annotation)), CONTENT=one.text)
            glyph.set("GC", f"{one.confidence:.3f}")
            _shape(glyph, one.polygon, annotation)
        if word.blank:
            _add(parent, "SP", **_at(_between(here, box(parts[number].polygon, annotation))))


def _between(before: Box, after: Box) -> Box:
    """The blank between two words, whichever way they run; without extent where they touch."""
    across = sorted((before.left, before.right, after.left, after.right))
    down = sorted((before.top, before.bottom, after.top, after.bottom))
    if before.right <= after.left or after.right <= before.left:
        return Box(across[1], down[0], across[2], down[3])
    if before.bottom <= after.top or after.bottom <= before.top:
        return Box(across[0], down[1], across[3], down[2])
    return Box(after.left, after.top, after.left, after.bottom)


def _shape(parent: Element, points: tuple[Point, ...], annotation: Annotation) -> None:
    _add(_add(parent, "Shape"), "Polygon", POINTS=_points(corners(points, annotation)))


def _points(points: list[tuple[int, int]]) -> str:
    return " ".join(f"{x},{y}" for x, y in points)


def _at(place: Box) -> dict[str, str]:
    return _numbers(HPOS=place.left, VPOS=place.top, WIDTH=place.width, HEIGHT=place.height)


def _numbers(**values: int) -> dict[str, str]:
    return {name: str(value) for name, value in values.items()}


def _add(parent: Element, name: str, **attributes: str) -> Element:
    return ET.SubElement(parent, name, {key: xml_text(value) for key, value in attributes.items()})
