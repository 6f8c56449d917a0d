# SPDX-License-Identifier: Apache-2.0
"""Stage 4 of an export: the converted graph must read real photographs as its source does, or it is not installed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from efficientnet_lite_pytorch import EfficientNet
from skimage import data

from imagier_server.export import flickr_captioner
from imagier_server.export.caption_search import CaptionSearch
from imagier_server.export.catalogue import ModelRow
from imagier_server.export.convert import Converted
from imagier_server.export.errors import ExportError
from imagier_server.messages import Pixels

Batch = npt.NDArray[np.uint8]
"""(N, height, width, 3), RGB."""

Answers = Mapping[str, npt.NDArray[Any]]

SCORE_TOLERANCE = 1e-3
LEVEL_TOLERANCE = 1
"""Of the 256 levels of the detector's map."""


def verify(row: ModelRow, weights: Path, converted: Converted) -> str:
    """Compares `converted` with its source, the published `weights`. A sentence about how close they are. Raises `ExportError`."""
    ours = _session(converted.graph)
    return _CHECKS[row.role](row.role, weights, lambda pixels: _run(ours, {"pixels": pixels}))


def _check_tagger(role: str, weights: Path, ours: Callable[[Batch], Answers]) -> str:
    pixels = np.stack([_centre(picture, 297, 260) for picture in _photographs()])
    network = EfficientNet.from_name("efficientnet-lite2")
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    network.eval()
    with torch.inference_mode():
        normalised = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() - 127.5) / 127.5
        expected = network(normalised).softmax(dim=-1).numpy()
    scores = ours(pixels)["scores"]
    error = _difference(role, scores, expected, SCORE_TOLERANCE)
    if (_best(scores, 5) != _best(expected, 5)).any():
        raise ExportError(f"{role}: the five best classes are not those of PyTorch")
    return f"scores within {error:.1e} of PyTorch's on {len(pixels)} photographs, the same five best"


def _check_detector(role: str, weights: Path, ours: Callable[[Batch], Answers]) -> str:
    source = _session(weights.read_bytes())
    worst, levels = 0, 0
    for batch in (np.stack([_centre(picture, 736, 736) for picture in _photographs()[:2]]), _page()[np.newaxis]):
        (expected,) = _run(source, {"x": _bgr_planes(batch)}).values()
        wanted = np.rint(expected[:, 0] * 255).astype(np.int16)
        got = ours(batch)["probability"]
        worst = max(worst, int(_difference(role, got, wanted, LEVEL_TOLERANCE)))
        levels += int((got > 76).sum())
    if not levels:
        raise ExportError(f"{role}: no text was found where there is some")
    return f"maps within {worst} of 255 levels of the source's"


def _check_orienter(role: str, weights: Path, ours: Callable[[Batch], Answers]) -> str:
    lines = _lines(192)
    pixels = np.concatenate([lines, lines[:, ::-1, ::-1]])
    (expected,) = _run(_session(weights.read_bytes()), {"x": _bgr_planes(pixels)}).values()
    error = _difference(role, ours(pixels)["upside_down"], expected[:, 1:], SCORE_TOLERANCE)
    return f"probabilities within {error:.1e} of the source's"


def _check_recognizer(role: str, weights: Path, ours: Callable[[Batch], Answers]) -> str:
    source = _session(weights.read_bytes())
    error, tokens = 0.0, 0
    for width in (320, 640):
        pixels = _lines(width)
        (expected,) = _run(source, {"x": _bgr_planes(pixels)}).values()
        answers = ours(pixels)
        if (answers["token_ids"] != expected.argmax(axis=2)).any():
            raise ExportError(f"{role}: tokens are not those of the source")
        error = max(error, _difference(role, answers["confidences"], expected.max(axis=2), SCORE_TOLERANCE))
        tokens += int((answers["token_ids"] > 0).sum())
    if not tokens:
        raise ExportError(f"{role}: nothing was read where there is something")
    return f"the source's tokens, {tokens} that are not blank, confidences within {error:.1e}"


def _check_captioner(role: str, weights: Path, ours: Callable[[Batch], Answers]) -> str:
    pixels = np.stack([_resized(picture, flickr_captioner.SIDE, flickr_captioner.SIDE) for picture in _photographs()])
    search = CaptionSearch(flickr_captioner.load(weights), flickr_captioner.SEARCH)
    with torch.inference_mode():
        token_ids, log_probabilities = (answer.numpy() for answer in search(torch.from_numpy(pixels)))
    answers = ours(pixels)
    if (answers["token_ids"] != token_ids).any():
        raise ExportError(f"{role}: tokens are not those of PyTorch")
    error = _difference(role, answers["log_probabilities"], log_probabilities, SCORE_TOLERANCE)
    captions = len(pixels) * flickr_captioner.SEARCH.candidates
    return f"PyTorch's {captions} captions token by token, log-probabilities within {error:.1e}"


_CHECKS: Mapping[str, Callable[[str, Path, Callable[[Batch], Answers]], str]] = {
    "tagger": _check_tagger,
    "text_detector": _check_detector,
    "text_line_orienter": _check_orienter,
    "text_recognizer": _check_recognizer,
    "captioner": _check_captioner,
}


def _difference(role: str, ours: npt.NDArray[Any], expected: npt.NDArray[Any], tolerance: float) -> float:
    if ours.shape != expected.shape:
        raise ExportError(f"{role}: answers {ours.shape}, the source {expected.shape}")
    error = float(np.abs(ours - expected.astype(np.float64)).max())
    if not error <= tolerance:  # not a number fails too
        raise ExportError(f"{role}: differs from its source by {error:.2g}; at most {tolerance:g} is allowed")
    return error


def _best(scores: npt.NDArray[Any], count: int) -> npt.NDArray[np.intp]:
    return np.argsort(-scores, axis=1, kind="stable")[:, :count]


def _photographs() -> list[Pixels]:
    """Photographs that the package scikit-image carries: public domain or CC0."""
    return [_photograph(name) for name in ("astronaut", "chelsea", "coffee", "rocket")]


def _photograph(name: str) -> Pixels:
    picture: Pixels = getattr(data, name)()
    return picture


def _page() -> Pixels:
    """A printed page, enlarged as RapidOCR does: shorter side 736. Blue ink on yellow paper: grey would hide swapped channels."""
    ink, paper = np.array([20, 40, 130]), np.array([255, 240, 190])
    share = _photograph("page")[..., np.newaxis] / 255
    return _resized((ink + (paper - ink) * share).astype(np.uint8), 1472, 736)


def _lines(width: int) -> Batch:
    """Lines cut out of the page, 48 pixels high."""
    page = _page()
    step = 52
    return np.stack([_resized(page[top : top + step, :640], width, 48) for top in range(0, 8 * step, step)])


def _centre(picture: Pixels, shorter_side: int, side: int) -> Pixels:
    height, width = picture.shape[:2]
    scale = shorter_side / min(height, width)
    resized = _resized(picture, round(width * scale), round(height * scale))
    top, left = (resized.shape[0] - side) // 2, (resized.shape[1] - side) // 2
    return resized[top : top + side, left : left + side]


def _resized(picture: Pixels, width: int, height: int) -> Pixels:
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]


def _bgr_planes(pixels: Batch) -> npt.NDArray[np.float32]:
    """The input of PP-OCR's own graphs, normalised as RapidOCR does."""
    return ((pixels[..., ::-1].transpose(0, 3, 1, 2) / 255 - 0.5) / 0.5).astype(np.float32)


def _session(graph: bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _run(session: Any, inputs: Answers) -> Answers:
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))
