# SPDX-License-Identifier: Apache-2.0
"""Exports both networks of a space and compares them with transformers: pictures from pixels, texts from characters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from PIL import Image
from tokenizers import Tokenizer

from imagier_server.export.comparison import photographs, run
from imagier_server.export.convert import Converted
from imagier_server.export.embedder_graph import build_image_embedder, build_text_embedder
from imagier_server.export.embedders import ImageTower, TextTower, read_image_tower, read_text_tower
from imagier_server.export.errors import ExportError
from imagier_server.export.golden import FILE, golden
from imagier_server.export.large_graphs import session
from imagier_server.export.spaces import IMAGE_EMBEDDER, TEXT_EMBEDDER
from imagier_server.messages import Picture
from imagier_server.tasks.embedding.immich_names import DIMENSIONS
from imagier_server.tasks.embedding.space import Network
from imagier_server.tasks.embedding.texts import TextSide

SAME = 0.9999
"""Least cosine with the vector that transformers makes."""

TEXTS = (
    "A dog runs along the beach.",
    "Dog",
    "Ein RADFAHRER, am Fluß; und 3 Boote!",
    "Собака бежит по берегу моря",
    "一只狗在沙滩上奔跑。",
    "كلب يركض على الشاطئ",
    "समुद्र तट पर दौड़ता कुत्ता",
    "犬がビーチを走っている",
    "a photograph of very many things and of more of them " * 20,
)
"""Six scripts, capitals, punctuation, and a text that is longer than any context."""

SHORT = TEXTS[:-1]
"""Those that a Triton is asked for before it counts as ready."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The two networks of a space, in PyTorch, with its name and dimension."""

    name: str
    dimension: int
    image: ImageTower
    text: TextTower


def read_pair(name: str, image: Path, text: Path) -> Pair:
    """Load both networks and see that they make vectors of one space. Raises `ExportError`."""
    pair = read_image_tower(image), read_text_tower(text)
    with torch.inference_mode():
        seen = pair[0].network(torch.zeros((1, pair[0].size, pair[0].size, 3), dtype=torch.uint8)).shape[1]
        read = pair[1].network(torch.zeros((1, pair[1].context), dtype=torch.int64)).shape[1]
    if seen != read:
        raise ExportError(
            f"pictures become vectors of {seen} numbers, texts of {read}: these are not networks of one space"
        )
    if (known := DIMENSIONS.get(name, seen)) != seen:
        raise ExportError(f"{name} has vectors of {known} numbers, this checkpoint of {seen}: give it another name")
    return Pair(name, seen, *pair)


def convert(pair: Pair) -> dict[str, tuple[onnx.ModelProto, Mapping[str, bytes]]]:
    """Graph and assets of each role. Raises `ExportError`."""
    image, text = pair.image, pair.text
    space = {
        "name": pair.name,
        "dimension": pair.dimension,
        "distance": "cosine",
        "image": {"size": image.size, "resize": image.resize, "interpolation": image.interpolation},
        "text": _side(text),
    }
    about = {"space.json": (json.dumps(space, indent=2) + "\n").encode()}
    pixels = drawn(image.size)
    with torch.inference_mode():
        seen = image.network(torch.from_numpy(pixels)).numpy()
    read = np.stack([text.source(words)[1].numpy() for words in SHORT])
    return {
        IMAGE_EMBEDDER: (
            build_image_embedder(image.network, image.size),
            about | {FILE: golden(pixels=pixels, vectors=seen)},
        ),
        TEXT_EMBEDDER: (
            build_text_embedder(text.network, text.context, whole=text.whole),
            about
            | {"tokenizer.json": text.tokenizer.to_str().encode(), FILE: golden(texts=np.array(SHORT), vectors=read)},
        ),
    }


def verify(pair: Pair, converted: Mapping[str, Converted]) -> str:
    """Compare both graphs, behind the server's own preparation, with transformers. Raises `ExportError`."""
    pictures = _cosines_of_pictures(pair, converted[IMAGE_EMBEDDER])
    texts = _cosines_of_texts(pair, converted[TEXT_EMBEDDER])
    for kind, cosines in (("picture", pictures), ("text", texts)):
        if not min(cosines) >= SAME:  # NaN fails too
            raise ExportError(f"a {kind}'s vector has a cosine of {min(cosines):.5f} with that of transformers")
    return (
        f"{len(pictures)} photographs and {len(texts)} texts in six scripts as in transformers: "
        f"cosine {min(pictures):.6f} and {min(texts):.6f} or more, the same tokens"
    )


def _side(text: TextTower) -> dict[str, Any]:
    return {"context": text.context, "pad": text.pad, "padding": "context" if text.whole else "longest"}


def _cosines_of_pictures(pair: Pair, converted: Converted) -> list[float]:
    side = Network(pair.image.size, pair.image.resize, Image.Resampling[pair.image.interpolation.upper()])
    runtime = session(converted.graph, converted.weights)
    pictures = [Picture(pixels, width=pixels.shape[1], height=pixels.shape[0]) for pixels in photographs()]
    rows = [side.prepare(picture)["pixels"] for picture in pictures]
    batch = run(runtime, {"pixels": np.concatenate(rows)})["vector"]
    alone = [run(runtime, {"pixels": row})["vector"][0] for row in rows]
    expected = [pair.image.source(Image.fromarray(picture.pixels)).numpy() for picture in pictures]
    return [float(ours @ theirs) for found in (batch, alone) for ours, theirs in zip(found, expected, strict=True)]


def _cosines_of_texts(pair: Pair, converted: Converted) -> list[float]:
    text, runtime = pair.text, session(converted.graph, converted.weights)
    side = TextSide.of(_side(text), Tokenizer.from_str(text.tokenizer.to_str()))
    expected = [text.source(words) for words in TEXTS]
    for batch in side.tokenise(TEXTS).batches:
        for place, row in zip(batch.places, batch.inputs["tokens"], strict=True):
            theirs = expected[place][0]
            if [*row, *[text.pad] * (text.context - len(row))] != theirs:
                raise ExportError(f"text {place + 1} of {len(TEXTS)} has other tokens than in transformers")
    cosines: list[float] = []
    for words in (TEXTS, *((each,) for each in TEXTS)):
        for batch in side.tokenise(words).batches:
            vectors = run(runtime, dict(batch.inputs))["vector"]
            for place, vector in zip(batch.places, vectors, strict=True):
                cosines.append(float(vector @ expected[TEXTS.index(words[place])][1].numpy()))
    return cosines


def drawn(size: int) -> npt.NDArray[np.uint8]:
    """Two pictures, UINT8 [2, size, size, 3], drawn by formulas: rings of colour, and a board of squares with a shadow."""
    across, down = np.meshgrid(np.linspace(-1, 1, size), np.linspace(-1, 1, size))
    rings = np.stack([np.cos(12 * np.hypot(across - x, down)) for x in (-0.4, 0.0, 0.4)], -1)
    board = np.sign(np.sin(9 * across) * np.sin(9 * down))[..., np.newaxis] * np.array([0.9, 0.5, -0.7])
    board *= 1 - 0.5 * np.hypot(across, down)[..., np.newaxis]
    return (127.5 + 127.5 * np.stack([rings, board])).round().clip(0, 255).astype(np.uint8)
