# SPDX-License-Identifier: Apache-2.0
"""Immich's `ocr`: parallel lists of the lines' texts, boxes and scores, from the top down, in a row from left to right."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

from imagier_server.tasks.ocr.values import Polygon, Text, TextLine
from imagier_server.transport.http.immich.entries import Models, ModelTask, ModelType
from imagier_server.transport.http.immich.places import Sheet

TASK = "ocr"
"""Our task that answers it."""

_MODEL = re.compile(r"(?:[A-Z]+__)?PP-OCRv\d+_(?:server|mobile)", re.ASCII)
_SCORES = {ModelType.DETECTION: 0.5, ModelType.RECOGNITION: 0.9}
"""Minimum scores in Immich's server if its caller gives none."""
_SMALLEST_SIDE = 32
"""In a picture with a shorter side Immich finds no text."""
_ROW = 10
"""Lines whose upper left corners are less than this many pixels apart in height stand in one row."""


def is_ours(models: Models) -> bool:
    """Whether we answer it: text that is found and read, by whichever PP-OCR is named; ours reads all its languages."""
    return models.keys() == _SCORES.keys() and all(_MODEL.fullmatch(model.file) for model in models.values())


def options(models: Models) -> Mapping[str, Any]:
    """The options of our task, in protobuf's JSON. It has one score for a line, which both minima hold for."""
    scores = (model.min_score(f"{ModelTask.OCR}.{kind}", _SCORES[kind]) for kind, model in models.items())
    return {"minConfidence": max(scores)}


def answer(text: Text, sheet: Sheet) -> Mapping[str, Any]:
    """The value of `ocr` in the answer. Corners are fractions of the width and height of the picture as it lies in its file."""
    found = text.lines if min(sheet.width, sheet.height) >= _SMALLEST_SIDE else ()
    lines = _in_rows(((line, sheet.quad(line.polygon)) for line in found), sheet.height)
    scores = [line.confidence for line, _ in lines]
    return {
        "text": [line.text for line, _ in lines],
        "box": [number for _, quad in lines for corner in quad for number in (corner.x, corner.y)],
        "boxScore": scores,
        "textScore": scores,
    }


def _in_rows(lines: Iterable[tuple[TextLine, Polygon]], height: int) -> list[tuple[TextLine, Polygon]]:
    """In the order of the detector of PP-OCR: a row ends where the next line down begins at least `_ROW` pixels lower."""
    down = sorted(lines, key=lambda line: line[1][0].y)
    row, rows = 0, [0] * bool(down)
    for (_, above), (_, below) in pairwise(down):
        row += round((below[0].y - above[0].y) * height, 3) >= _ROW
        rows.append(row)
    order = sorted(range(len(down)), key=lambda number: (rows[number], down[number][1][0].x))
    return [down[number] for number in order]
