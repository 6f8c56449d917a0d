# SPDX-License-Identifier: Apache-2.0
"""A recogniser of a few letters, as PP-OCR publishes them: random features of a line's windows, and a head in closed form.

It is sure of the words that it was made for, drawn in the font that it was made with, and of nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from imagier_client.drawing.fonts import font_for
from onnx import TensorProto, helper, numpy_helper
from PIL import Image, ImageDraw

HEIGHT, STEP, WINDOW, FEATURES = 48, 8, 32, 1000
SURE, RIDGE = 18.0, 10.0
NEAR = 5
"""Pixels between the middles of a window and of the letter that it shows; a window between two letters is blank."""
SIZE, AROUND, SHIFTS = 32, (1.15, 1.2, 1.25, 1.3, 1.35, 1.4, 1.5), 12
"""Of the drawn words; a line's height by that of its letters, as a detector may cut it; and how often each is cut."""

Array = np.ndarray[Any, Any]


def save(path: Path, words: str, others: Sequence[str]) -> Path:
    """Write the graph of a recogniser that reads `words`, and is sure of no letter in `others`."""
    letters = tuple(sorted(set(words) - {" "}))
    rng = np.random.default_rng(3)
    kernels = _smooth(rng.normal(size=(FEATURES, HEIGHT, WINDOW)).astype(np.float32))
    seen, wanted = [], []
    for text in (words, *others):
        for line, middles in _cut(text, rng):
            seen.append(_features(line, kernels))
            wanted.append(_targets(len(seen[-1]), middles if text == words else None, letters))
    rows, truth = np.concatenate(seen).astype(np.float64), np.concatenate(wanted)
    mean, usual = rows.mean(axis=0), truth.mean(axis=0)
    rows -= mean
    head = np.linalg.solve(rows.T @ rows + RIDGE * np.eye(FEATURES), rows.T @ (truth - usual))
    onnx.save(_graph(kernels, SURE * head, SURE * (usual - mean @ head), letters), path)
    return path


def _smooth(kernels: Array) -> Array:
    """Of unit length, and each value much like the next one, as pixels are."""
    for axis in (1, 2):
        kernels = sum((np.roll(kernels, shift, axis) for shift in range(5)), start=np.zeros_like(kernels))
    return kernels / np.linalg.norm(kernels, axis=(1, 2), keepdims=True)


def _cut(text: str, rng: np.random.Generator) -> Iterator[tuple[Array, list[tuple[float, str]]]]:
    """The drawn text, cut more or less tightly, with what the server fills a line with behind it; and its letters' middles."""
    font = font_for(text, SIZE)
    assert font is not None, "a font of the extra `drawing` has the text"
    left, top, right, bottom = font.getbbox(text)
    page = Image.new("L", (int(right) + 100, int(bottom) + 100), "white")
    ImageDraw.Draw(page).text((50, 50), text, "black", font)
    middles = [
        ((font.getlength(text[:place]) + font.getlength(text[: place + 1])) / 2, letter)
        for place, letter in enumerate(text)
    ]
    for around in AROUND:
        margin, height = (around - 1) / 2 * (bottom - top), (bottom - top) * around
        scale = HEIGHT / height
        for _ in range(SHIFTS):
            begin = 50 + left - margin * rng.uniform(0.3, 1.7)
            above = 50 + top - margin * rng.uniform(0.6, 1.4)
            end = 50 + right + margin * rng.uniform(0.3, 1.7)
            width = round((end - begin) * scale)
            line = page.resize((width, HEIGHT), Image.Resampling.BILINEAR, (begin, above, end, above + height))
            pixels = np.zeros((HEIGHT, (-(-width // STEP) + 6) * STEP), np.float32)
            pixels[:, :width] = np.asarray(line) / 127.5 - 1
            yield pixels, [((50 + middle - begin) * scale, letter) for middle, letter in middles]


def _features(line: Array, kernels: Array) -> Array:
    padded = np.pad(line, ((0, 0), ((WINDOW - STEP) // 2,) * 2))
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW, axis=1)[:, ::STEP].transpose(1, 0, 2)
    return np.maximum(windows.reshape(len(windows), -1) @ kernels.reshape(FEATURES, -1).T, 0)


def _targets(windows: int, middles: Sequence[tuple[float, str]] | None, letters: Sequence[str]) -> Array:
    """What each window shows: nothing, one of the letters, or a space. Of a text without `middles` all are equally likely."""
    shares = np.zeros((windows, len(letters) + 2))
    if middles is None:
        return shares + 1 / shares.shape[1]
    tokens = ("", *letters, " ")
    for window in range(windows):
        away, letter = min((abs((window + 0.5) * STEP - middle), letter) for middle, letter in middles)
        shares[window, tokens.index(letter if away <= NEAR else "")] = 1
    return shares


def _graph(kernels: Array, head: Array, bias: Array, letters: Sequence[str]) -> onnx.ModelProto:
    constants = {
        "kernels": np.repeat(kernels[:, np.newaxis] / 3, 3, axis=1),  # of three colours, all the same
        "head": head,
        "bias": bias,
    }
    side = (WINDOW - STEP) // 2
    nodes = [
        helper.make_node("Conv", ["x", "kernels"], ["seen"], strides=[1, STEP], pads=[0, side, 0, side]),
        helper.make_node("Relu", ["seen"], ["strong"]),
        helper.make_node("Squeeze", ["strong"], ["rows"], axes=[2]),
        helper.make_node("Transpose", ["rows"], ["features"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["features", "head"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["sum"]),
        helper.make_node("Identity", ["sum"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["y"], axis=2),
    ]
    graph = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, HEIGHT, "W"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", "T", len(letters) + 2])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)
    helper.set_model_props(model, {"character": "\n".join(letters)})
    return model
