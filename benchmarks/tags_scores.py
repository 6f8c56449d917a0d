# SPDX-License-Identifier: Apache-2.0
"""The tagger's raw probabilities by the server's own path (decoder, preparation, exported graph), for the measurements of tags."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from imagier_server.decode.decoder import decode
from imagier_server.decode.formats import sniff
from imagier_server.decode.refusals import Caps
from imagier_server.export.onnx_runtime import onnxruntime
from imagier_server.messages import Picture
from imagier_server.tasks.tags.crops import prepare
from imagier_server.tasks.tags.task import TagsTask
from imagier_server.tasks.tags.values import Tags, TagsOptions

ROOT = Path(__file__).parents[1]
REPOSITORY = ROOT / "model_repository"
RESULTS = ROOT / "benchmarks" / "results"

Model = Callable[[np.ndarray], np.ndarray]
"""Pixels (rows, 260, 260, 3) → probabilities (rows, 1000)."""


def model() -> Model:
    """The exported graph on one thread: nothing here measures speed."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    path = REPOSITORY / "tagger" / "1" / "model.onnx"
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda pixels: session.run(None, {"pixels": np.ascontiguousarray(pixels)})[0]


def labelled(folder: Path) -> Iterator[tuple[str, bytes]]:
    """(WordNet id, file) of pictures named `<WordNet id>_<label>.jpg`."""
    return ((path.name.split("_")[0], path.read_bytes()) for path in sorted(folder.glob("*.jpg")))


def photographs(folder: Path, every: int, first: int = 0) -> Iterator[tuple[str, bytes]]:
    """(name, file) of every so many photographs of Flickr8k's `images-224.tar`, from the first on."""
    with tarfile.open(folder / "images-224.tar") as archive:
        members = [member for member in archive if member.isfile()]
        for member in members[first::every]:
            content = archive.extractfile(member)
            assert content is not None
            yield Path(member.name).name, content.read()


def decoded(file: bytes, task: TagsTask) -> Picture:
    """Decode as the server does for tags alone."""
    picture, width, height, _ = decode(file, sniff(file), Caps(10**9, 10**5), task.scale)
    return Picture(np.asarray(picture), width, height)


def centre(picture: Picture) -> np.ndarray:
    """(1, 260, 260, 3), of a panorama too."""
    crops = prepare(picture)["pixels"]
    if len(crops) == 1:
        return crops
    height, width = picture.pixels.shape[:2]
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    return prepare(Picture(picture.pixels[top : top + side, left : left + side], side, side))["pixels"]


def encoded(pixels: np.ndarray) -> bytes:
    """As a PNG file."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def shown(task: TagsTask, probabilities: np.ndarray, **options: float) -> list[tuple[int, float]]:
    """The tags of one picture: places in the vocabulary, and scores."""
    tags: Tags = task.finish({"scores": np.atleast_2d(probabilities)}, TagsOptions(**options), ("en",))
    return [(task.vocabulary.index[tag.id], tag.score) for tag in tags.tags]
