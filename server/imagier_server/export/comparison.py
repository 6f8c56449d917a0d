# SPDX-License-Identifier: Apache-2.0
"""Compares graphs with their source: photographs, lines of print, sessions, tolerances."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from skimage import data

from imagier_server.export.errors import ExportError
from imagier_server.export.onnx_runtime import onnxruntime
from imagier_server.messages import Pixels

Batch = npt.NDArray[np.uint8]
"""(N, height, width, 3), RGB."""

Answers = Mapping[str, npt.NDArray[Any]]

SCORE_TOLERANCE = 1e-3


def difference(role: str, ours: npt.NDArray[Any], expected: npt.NDArray[Any], tolerance: float) -> float:
    if ours.shape != expected.shape:
        raise ExportError(f"{role}: answers {ours.shape}, the source {expected.shape}")
    error = float(np.abs(ours - expected.astype(np.float64)).max())
    if not error <= tolerance:  # NaN fails too
        raise ExportError(f"{role}: differs from its source by {error:.2g}; at most {tolerance:g} is allowed")
    return error


def best(scores: npt.NDArray[Any], count: int) -> npt.NDArray[np.intp]:
    return np.argsort(-scores, axis=1, kind="stable")[:, :count]


def photographs() -> list[Pixels]:
    """Photographs from the package scikit-image: public domain or CC0."""
    return [photograph(name) for name in ("astronaut", "chelsea", "coffee", "rocket")]


def photograph(name: str) -> Pixels:
    picture: Pixels = getattr(data, name)()
    return picture


def page() -> Pixels:
    """A printed page, enlarged as RapidOCR does: shorter side 736. Blue ink on yellow paper: grey would hide swapped channels."""
    ink, paper = np.array([20, 40, 130]), np.array([255, 240, 190])
    share = photograph("page")[..., np.newaxis] / 255
    return resized((ink + (paper - ink) * share).astype(np.uint8), 1472, 736)


def lines(width: int) -> Batch:
    """Lines cut from the page, 48 pixels high."""
    print_ = page()
    step = 52
    return np.stack([resized(print_[top : top + step, :640], width, 48) for top in range(0, 8 * step, step)])


def centre(picture: Pixels, shorter_side: int, side: int) -> Pixels:
    height, width = picture.shape[:2]
    scale = shorter_side / min(height, width)
    whole = resized(picture, round(width * scale), round(height * scale))
    top, left = (whole.shape[0] - side) // 2, (whole.shape[1] - side) // 2
    return whole[top : top + side, left : left + side]


def resized(picture: Pixels, width: int, height: int) -> Pixels:
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]


def bgr_planes(pixels: Batch) -> npt.NDArray[np.float32]:
    """The input of PP-OCR's own graphs, normalised as RapidOCR does."""
    return ((pixels[..., ::-1].transpose(0, 3, 1, 2) / 255 - 0.5) / 0.5).astype(np.float32)


def session(graph: bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def run(session: Any, inputs: Answers) -> Answers:
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def answers_of(graph: bytes) -> Callable[[Batch], Answers]:
    """A function from a batch of pixels to the graph's outputs."""
    runtime = session(graph)
    return lambda pixels: run(runtime, {"pixels": pixels})
