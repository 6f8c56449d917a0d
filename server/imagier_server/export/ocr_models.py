# SPDX-License-Identifier: Apache-2.0
"""Exports the OCR graphs: PP-OCR's, as packaged by RapidOCR, with RGB input and small outputs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx

from imagier_server.export.comparison import (
    SCORE_TOLERANCE,
    answers_of,
    bgr_planes,
    centre,
    difference,
    lines,
    page,
    photographs,
    run,
    session,
)
from imagier_server.export.errors import ExportError
from imagier_server.export.ocr_graphs import answer_map, answer_tokens, answer_upside_down, read_charset, read_pixels

LEVEL_TOLERANCE = 1
"""Tolerance in levels of the detector's map, of 256."""


def convert_detector(weights: Path) -> tuple[onnx.ModelProto, Mapping[str, bytes]]:
    """Pixels to a map of 256 levels."""
    model = onnx.load(weights)
    read_pixels(model, "H", "W")
    answer_map(model)
    return model, {}


def convert_orienter(weights: Path) -> tuple[onnx.ModelProto, Mapping[str, bytes]]:
    """Pixels of a line to the probability that it is upside down."""
    model = onnx.load(weights)
    read_pixels(model, 48, 192)
    answer_upside_down(model)
    return model, {}


def convert_recognizer(weights: Path) -> tuple[onnx.ModelProto, Mapping[str, bytes]]:
    """Pixels of a line to tokens and confidences, and the charset that the tokens stand for."""
    model = onnx.load(weights)
    read_pixels(model, 48, "W")
    answer_tokens(model)
    return model, {"charset.txt": "".join(f"{entry}\n" for entry in read_charset(model)).encode()}


def verify_detector(role: str, weights: Path, graph: bytes) -> str:
    """Compare the probability maps with those of the published graph. A sentence about how close they are. Raises `ExportError`."""
    ours = answers_of(graph)
    source = session(weights.read_bytes())
    worst, levels = 0, 0
    for batch in (np.stack([centre(picture, 736, 736) for picture in photographs()[:2]]), page()[np.newaxis]):
        (expected,) = run(source, {"x": bgr_planes(batch)}).values()
        wanted = np.rint(expected[:, 0] * 255).astype(np.int16)
        got = ours(batch)["probability"]
        worst = max(worst, int(difference(role, got, wanted, LEVEL_TOLERANCE)))
        levels += int((got > 76).sum())
    if not levels:
        raise ExportError(f"{role}: no text was found where there is some")
    return f"maps within {worst} of 255 levels of the source's"


def verify_orienter(role: str, weights: Path, graph: bytes) -> str:
    """Compare the probabilities with those of the published graph. A sentence about how close they are. Raises `ExportError`."""
    ours = answers_of(graph)
    upright = lines(192)
    pixels = np.concatenate([upright, upright[:, ::-1, ::-1]])
    (expected,) = run(session(weights.read_bytes()), {"x": bgr_planes(pixels)}).values()
    error = difference(role, ours(pixels)["upside_down"], expected[:, 1:], SCORE_TOLERANCE)
    return f"probabilities within {error:.1e} of the source's"


def verify_recognizer(role: str, weights: Path, graph: bytes) -> str:
    """Compare tokens and confidences with those of the published graph. Says how close they are. Raises `ExportError`."""
    ours = answers_of(graph)
    source = session(weights.read_bytes())
    error, tokens = 0.0, 0
    for width in (320, 640):
        pixels = lines(width)
        (expected,) = run(source, {"x": bgr_planes(pixels)}).values()
        answers = ours(pixels)
        if (answers["token_ids"] != expected.argmax(axis=2)).any():
            raise ExportError(f"{role}: tokens are not those of the source")
        error = max(error, difference(role, answers["confidences"], expected.max(axis=2), SCORE_TOLERANCE))
        tokens += int((answers["token_ids"] > 0).sum())
    if not tokens:
        raise ExportError(f"{role}: nothing was read where there is something")
    return f"the source's tokens, {tokens} that are not blank, confidences within {error:.1e}"
