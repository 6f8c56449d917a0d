# SPDX-License-Identifier: Apache-2.0
"""The space that the installed models share, as `assets/space.json` of each role says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import numpy as np
from PIL import Image
from tokenizers import Tokenizer

from imagier_server.messages import Picture, Tensors
from imagier_server.model_lock import LockedModel, ModelLockError, read_lock
from imagier_server.tasks.embedding.concepts import Concepts
from imagier_server.tasks.embedding.texts import TextSide
from imagier_server.tasks.embedding.values import SpaceInfo, Vectors
from imagier_server.tasks.tags.crops import MODEL as TAGGER

IMAGE_EMBEDDER: Final = "image_embedder"
TEXT_EMBEDDER: Final = "text_embedder"
SPACE: Final = "space.json"
_RESAMPLING: Final = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_SPARE: Final = 1.7
"""A decoder shrinks by other filters than the model was trained with; from so many times the size on, the last step decides.

Of 43 photographs of ImageNet and 14 of up to 9 megapixels (ViT-B/32, random weights) the least cosine with transformers' vector was
0.9993 if they were shrunk at once, 0.99995 at 1.7 times the size, and 0.99996 at twice, where 3 megapixels take 29 ms to decode
instead of 17.
"""


class ImageSide(Protocol):
    """How a picture becomes a vector: prepared, through `model`, and finished. `sees_tags` if that is the tagger."""

    @property
    def model(self) -> str: ...
    @property
    def sees_tags(self) -> bool: ...

    def scale(self, width: int, height: int) -> float: ...

    def prepare(self, picture: Picture) -> Tensors: ...

    def finish(self, outputs: Tensors) -> Vectors: ...


@dataclass(frozen=True, slots=True)
class Network:
    """A network of its own for pictures: `pixels` UINT8 (1, size, size, 3) → `vector` of unit length."""

    size: int
    resize: Literal["shortest_side_crop", "squash"]
    interpolation: Image.Resampling
    model: str = IMAGE_EMBEDDER
    sees_tags: bool = False

    def scale(self, width: int, height: int) -> float:
        """The scale at which the shorter side has `_SPARE` times the model's input."""
        return min(1.0, _SPARE * self.size / min(width, height))

    def prepare(self, picture: Picture) -> Tensors:
        """Scale the shorter side to the model's and cut out the centre, or squash the whole picture."""
        height, width = picture.pixels.shape[:2]
        box = (0.0, 0.0, float(width), float(height))
        if self.resize == "shortest_side_crop":
            # Cropped before scaling: the same pixels, without scaling a long panorama as a whole.
            shorter = min(width, height)
            scaled = (int(width * self.size / shorter), int(height * self.size / shorter))
            left, top = ((side - self.size) // 2 for side in scaled)
            across, down = width / scaled[0], height / scaled[1]
            box = (left * across, top * down, (left + self.size) * across, (top + self.size) * down)
        whole = Image.fromarray(picture.pixels)
        return {"pixels": np.asarray(whole.resize((self.size, self.size), self.interpolation, box=box))[np.newaxis]}

    def finish(self, outputs: Tensors) -> Vectors:
        """The vector of the picture."""
        return np.asarray(outputs["vector"], np.float32)


@dataclass(frozen=True, slots=True)
class Space:
    """The space: how pictures and texts get into it. A side is None if it is not installed."""

    info: SpaceInfo
    image: ImageSide | None
    text: TextSide | None

    @staticmethod
    @cache
    def of_repository(repository: Path) -> Space | None:
        """The space of a model repository, shared by all that need it. Raises `ModelLockError`, `OSError`."""
        return Space.load(repository, read_lock(repository))

    @classmethod
    def load(cls, repository: Path, installed: Mapping[str, LockedModel]) -> Space | None:
        """Load the space; None if neither role is installed. Raises `ModelLockError`."""
        image = _assets(repository, IMAGE_EMBEDDER, installed)
        text = _assets(repository, TEXT_EMBEDDER, installed)
        if image is None and text is None:
            return None
        if image and text and _info(image, IMAGE_EMBEDDER) != _info(text, TEXT_EMBEDDER):
            raise ModelLockError(
                f"{IMAGE_EMBEDDER} is of the space {_info(image, IMAGE_EMBEDDER).name}, {TEXT_EMBEDDER} of"
                f" {_info(text, TEXT_EMBEDDER).name}: install both of one model"
            )
        folder = repository / TEXT_EMBEDDER / "assets"
        try:
            return cls(
                _info(image or text or {}, TEXT_EMBEDDER),
                _network(image["image"]) if image else _concepts(text or {}, folder, installed),
                TextSide.of(text["text"], Tokenizer.from_file(str(folder / "tokenizer.json"))) if text else None,
            )
        except ModelLockError:
            raise
        except Exception as error:  # tokenizers raises no narrower type
            raise ModelLockError("the assets of the embedders are damaged; install them again") from error


def _assets(repository: Path, role: str, installed: Mapping[str, LockedModel]) -> dict[str, Any] | None:
    if role not in installed:
        return None
    try:
        read = json.loads((repository / role / "assets" / SPACE).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(role) from error
    if not isinstance(read, dict):
        raise _damaged(role)
    return read


def _info(read: Mapping[str, Any], role: str) -> SpaceInfo:
    try:
        return SpaceInfo(read["name"], read["dimension"], read["distance"])
    except KeyError as error:
        raise _damaged(role) from error


def _network(read: Mapping[str, Any]) -> Network:
    resize = read["resize"]
    if resize not in {"shortest_side_crop", "squash"}:
        raise _damaged(IMAGE_EMBEDDER)
    return Network(read["size"], resize, _RESAMPLING[read["interpolation"]])


def _concepts(read: Mapping[str, Any], assets: Path, installed: Mapping[str, LockedModel]) -> Concepts | None:
    """Pictures by what the tagger sees in them, if the texts' model brings the vectors of its classes."""
    side = read.get("image", {})
    if side.get("scores_of") != TAGGER:
        return None
    if TAGGER not in installed or installed[TAGGER].source_digest != side["digest"]:
        raise ModelLockError(f"{TEXT_EMBEDDER} was made for another {TAGGER}; install {TEXT_EMBEDDER} again")
    with np.load(assets / "concepts.npz", allow_pickle=False) as arrays:
        vectors = arrays["vectors"].astype(np.float32)
    return Concepts(vectors, side["best"])


def _damaged(role: str) -> ModelLockError:
    return ModelLockError(f"the assets of the {role} are damaged; install it again")
