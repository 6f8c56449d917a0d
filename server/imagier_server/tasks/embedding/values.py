# SPDX-License-Identifier: Apache-2.0
"""Options and results of the embedding task and of the embedding of texts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt

NAME: Final = "embedding"
"""The task's name, which the embedding of texts shares: its scope, its price and its metrics."""

Vectors = npt.NDArray[np.float32]
"""(number, dimension), each row of unit length."""


class Encoding(Enum):
    """How a vector is written."""

    FLOAT32 = auto()
    FLOAT16 = auto()
    INT8 = auto()
    BITS = auto()


@dataclass(frozen=True, slots=True)
class EmbeddingOptions:
    """Options of the embedding task. `encoding` is None for one that this server does not know."""

    encoding: Encoding | None = Encoding.FLOAT32
    characters: ClassVar[int] = 0


@dataclass(frozen=True, slots=True)
class SpaceInfo:
    """What vectors may be compared with: those of a space of the same `name`. `dimension` numbers each."""

    name: str
    dimension: int
    distance: str = "cosine"


@dataclass(frozen=True, slots=True)
class Vector:
    """A vector as it is sent: `values`, or `packed` numbers, which are multiplied by `scale` if they are whole ones."""

    encoding: Encoding
    values: tuple[float, ...] = ()
    packed: bytes = b""
    scale: float = 0.0


@dataclass(frozen=True, slots=True)
class Embedding:
    """Result of the embedding task."""

    space: SpaceInfo
    vector: Vector


@dataclass(frozen=True, slots=True)
class Candidate:
    """A label of the caller, and texts that describe what it stands for; itself, if there are none."""

    label: str
    prompts: tuple[str, ...] = ()

    @property
    def texts(self) -> tuple[str, ...]:
        """What is embedded."""
        return self.prompts or (self.label,)

    @property
    def characters(self) -> int:
        """Total characters."""
        return len(self.label) + sum(map(len, self.prompts))


@dataclass(frozen=True, slots=True)
class FoundCandidate:
    """A label of the caller, and its similarity to the picture: a cosine, -1 to 1."""

    label: str
    similarity: float


@dataclass(frozen=True, slots=True)
class TaughtScore:
    """A label that the caller has taught, and the probability that the picture has it."""

    label: str
    score: float


@dataclass(frozen=True, slots=True)
class TextEmbedding:
    """The vector of a text; `truncated` if its end was left out."""

    vector: Vector
    truncated: bool


@dataclass(frozen=True, slots=True)
class TextEmbeddings:
    """The vectors of several texts, in their order."""

    space: SpaceInfo
    embeddings: tuple[TextEmbedding, ...]
    unknown_languages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EmbedTextRequest:
    """Texts to embed, their languages if known, and how the vectors are written (None: in a way that is not known here)."""

    texts: tuple[str, ...]
    languages: tuple[str, ...] = ()
    encoding: Encoding | None = Encoding.FLOAT32

    @property
    def image(self) -> None:
        """None: there is no picture."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """The task whose scope and price the texts share."""
        return (NAME,)

    @property
    def size(self) -> int:
        """Characters of all texts."""
        return sum(map(len, self.texts))


@dataclass(frozen=True, slots=True)
class TrainLabelRequest:
    """What to teach a label with: vectors (number, dimension) of a space. None where one cannot be read."""

    label: str
    space: SpaceInfo
    positives: tuple[Vectors | None, ...]
    negatives: tuple[Vectors | None, ...]

    @property
    def image(self) -> None:
        """None: there is no picture."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """The task whose scope and price it shares."""
        return (NAME,)

    @property
    def size(self) -> int:
        """Bytes of all vectors."""
        return 4 * self.space.dimension * (len(self.positives) + len(self.negatives))


@dataclass(frozen=True, slots=True)
class TrainedLabel:
    """A label that was taught, as bytes, and its accuracy on examples left out, 0 to 1."""

    taught: bytes
    accuracy: float
