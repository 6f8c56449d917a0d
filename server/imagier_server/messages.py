# SPDX-License-Identifier: Apache-2.0
"""The values that travel through the gateway: frozen, typed, free of any transport."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum, auto
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from imagier_server.errors import ImagierError
from imagier_server.timings import Timings

Pixels = npt.NDArray[np.uint8]
"""(height, width, 3), RGB, upright."""

Tensor = npt.NDArray[np.generic]
"""One input or output of a model; the first dimension is the batch."""

Tensors = Mapping[str, Tensor]


class Lane(IntEnum):
    """Who is served first where there is a queue. The values are Triton's priority levels."""

    INTERACTIVE = 1
    BULK = 2


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture. `pixels` may be smaller than the picture; `width` and `height` are the upright picture's own."""

    pixels: Pixels
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class TagsOptions:
    """How tags are wanted; `None` is the server's default."""

    max_tags: int | None = None
    min_score: float | None = None
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    existing_tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TextOptions:
    """How text is wanted; `None` is the server's default."""

    min_confidence: float | None = None
    words: bool = False


@dataclass(frozen=True, slots=True)
class CaptionOptions:
    """How captions are wanted; `None` is the server's default."""

    max_words: int | None = None
    candidates: int | None = None
    min_score: float | None = None
    gender_neutral: bool = False


TaskOptions = TagsOptions | TextOptions | CaptionOptions


@dataclass(frozen=True, slots=True)
class Tag:
    """Something the picture shows. `names` by language; `parents` nearest first."""

    id: str
    names: Mapping[str, str]
    score: float
    parents: tuple[TagParent, ...] = ()


@dataclass(frozen=True, slots=True)
class TagParent:
    """A wider word for a tag."""

    id: str
    names: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Tags:
    """Result of the tags task, best first."""

    tags: tuple[Tag, ...]
    unknown_languages: tuple[str, ...] = ()


class MatchKind(Enum):
    """How a keyword was found to mean a tag, from the surest to the loosest."""

    ID = auto()
    NAME = auto()
    VARIANT = auto()
    SYNONYM = auto()


@dataclass(frozen=True, slots=True)
class KeywordMeaning:
    """A tag that a keyword stands for."""

    id: str
    names: Mapping[str, str]
    kind: MatchKind
    parents: tuple[TagParent, ...] = ()


@dataclass(frozen=True, slots=True)
class KeywordMatch:
    """A keyword and what it means: nothing, one tag, or several if it is ambiguous."""

    keyword: str
    meanings: tuple[KeywordMeaning, ...]


@dataclass(frozen=True, slots=True)
class KeywordMatches:
    """What a library's keywords mean, in their order."""

    matches: tuple[KeywordMatch, ...]
    unknown_languages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Point:
    """A place in the upright picture, in its pixels."""

    x: float
    y: float


Polygon = tuple[Point, Point, Point, Point]
"""From the corner where reading begins, clockwise as read."""


@dataclass(frozen=True, slots=True)
class TextWord:
    """A word of a line."""

    text: str
    confidence: float
    polygon: Polygon


@dataclass(frozen=True, slots=True)
class TextLine:
    """A line of text; `words` only if asked for."""

    text: str
    confidence: float
    polygon: Polygon
    words: tuple[TextWord, ...] = ()


@dataclass(frozen=True, slots=True)
class Text:
    """Result of the text task, in reading order."""

    lines: tuple[TextLine, ...]


@dataclass(frozen=True, slots=True)
class Caption:
    """A sentence that says what the picture shows. `score` 0 to 1; a `guess` is to be shown as one."""

    text: str
    language: str
    score: float
    guess: bool


@dataclass(frozen=True, slots=True)
class Captions:
    """Result of the caption task, best first; `title` is the first one shortened."""

    captions: tuple[Caption, ...]
    title: str = ""
    unknown_languages: tuple[str, ...] = ()


TaskResult = Tags | Text | Captions


@dataclass(frozen=True, slots=True)
class AnnotateRequest:
    """One picture and the options of each task asked for, by the task's name."""

    image: bytes
    tasks: Mapping[str, TaskOptions]
    languages: tuple[str, ...] = ()
    request_id: str = ""

    @property
    def size(self) -> int:
        """Bytes of the picture file and characters of all words: what holding the request takes."""
        lists = [self.languages]
        for options in self.tasks.values():
            if isinstance(options, TagsOptions):
                lists += [options.allow, options.deny, options.existing_tags]
        return len(self.image) + sum(len(word) for words in lists for word in words)


@dataclass(frozen=True, slots=True)
class ModelReference:
    """A model that took part in an answer. `research_only`: its weights' terms allow research and private use only."""

    name: str
    version: str
    research_only: bool = False


@dataclass(frozen=True, slots=True)
class TaskOutcome:
    """What became of one task: its result, or its error; `cost` in credits, 0 if it failed."""

    models: tuple[ModelReference, ...]
    result: TaskResult | None = None
    error: ImagierError | None = None
    cost: int = 0


@dataclass(frozen=True, slots=True)
class Annotation:
    """The answer to one picture; `width` and `height` of the upright picture in pixels."""

    request_id: str
    width: int
    height: int
    timings: Timings
    outcomes: Mapping[str, TaskOutcome] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def cost(self) -> int:
        """Credits of the tasks that succeeded."""
        return sum(outcome.cost for outcome in self.outcomes.values())
