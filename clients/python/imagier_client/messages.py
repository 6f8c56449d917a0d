# SPDX-License-Identifier: Apache-2.0
"""The client's vocabulary: options that go out, results that come back, and the catalogue. Frozen, typed, without protobuf."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from imagier_client.errors import ImagierClientError

if TYPE_CHECKING:
    from imagier.v1.annotator_pb2 import AnnotateResponse


@dataclass(frozen=True, slots=True)
class TagsOptions:
    """How tags are wanted; `None` is the server's default.

    In the lists a tag is named by its id, or as a library's keyword (see `match_keywords`). `existing_tags` are never repeated.
    """

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
    """How captions are wanted; `None` is the server's default. `candidates` is how many, no two of them alike."""

    max_words: int | None = None
    candidates: int | None = None
    min_score: float | None = None
    gender_neutral: bool = False


class Point(NamedTuple):
    """A place in the upright picture; the origin is the upper left corner."""

    x: float
    y: float


Polygon = tuple[Point, ...]
"""Four corners, from the one where reading begins, clockwise as read."""


@dataclass(frozen=True, slots=True)
class ModelReference:
    """A model that took part in an answer; `research_only` if its terms allow research and private use only."""

    name: str
    version: str
    research_only: bool = False


@dataclass(frozen=True, slots=True)
class TagParent:
    """A wider word for a tag. `names` by language, in the order asked for."""

    id: str
    names: Mapping[str, str]

    @property
    def name(self) -> str:
        """Its name in the first language that was asked for and is known."""
        return next(iter(self.names.values()), self.id)


@dataclass(frozen=True, slots=True)
class Tag:
    """Something the picture shows. `score` 0 to 1; `names` by language, in the order asked for; `parents` nearest first."""

    id: str
    names: Mapping[str, str]
    score: float
    origin: str = "machine"
    parents: tuple[TagParent, ...] = ()

    @property
    def name(self) -> str:
        """Its name in the first language that was asked for and is known."""
        return next(iter(self.names.values()), self.id)


@dataclass(frozen=True, slots=True)
class _TaskResult:
    """What every task answers: who did it, for how many credits, and `error` if it failed while the picture did not."""

    models: tuple[ModelReference, ...] = ()
    cost: int = 0
    error: ImagierClientError | None = None

    @property
    def ok(self) -> bool:
        """True if this task succeeded."""
        return self.error is None


@dataclass(frozen=True, slots=True)
class TagsResult(_TaskResult):
    """The tags task's answer, best first; empty if it failed or nothing was recognised well enough."""

    tags: tuple[Tag, ...] = ()
    unknown_languages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TextWord:
    """A word of a line. `polygon` in pixels of the upright picture, `normalized_polygon` in fractions of its sides."""

    text: str
    confidence: float
    polygon: Polygon
    normalized_polygon: Polygon


@dataclass(frozen=True, slots=True)
class TextLine:
    """A line of text; polygons as for a word, `words` only if asked for."""

    text: str
    confidence: float
    polygon: Polygon
    normalized_polygon: Polygon
    words: tuple[TextWord, ...] = ()


@dataclass(frozen=True, slots=True)
class TextResult(_TaskResult):
    """The text task's answer, in reading order; `text` is the lines joined by newlines."""

    lines: tuple[TextLine, ...] = ()
    text: str = ""


@dataclass(frozen=True, slots=True)
class Caption:
    """A sentence that says what the picture shows. `score` 0 to 1; show people a `guess` as one."""

    text: str
    language: str
    score: float
    guess: bool
    origin: str = "machine"


@dataclass(frozen=True, slots=True)
class CaptionResult(_TaskResult):
    """The caption task's answer, best first; `title` is the first caption shortened, and as much of a guess."""

    captions: tuple[Caption, ...] = ()
    title: str = ""
    unknown_languages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StageTiming:
    """Seconds that one stage ("decode", "prepare", "infer", "finish") took for one task; `task` is "" for what tasks share."""

    task: str
    stage: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the server's time went, in seconds. Tasks run side by side: their stages add up to more than `total`."""

    total: float = 0.0
    stages: tuple[StageTiming, ...] = ()


@dataclass(frozen=True, slots=True)
class Annotation:
    """The answer to one picture: its size in pixels when upright, and a result for each task asked for.

    `message` is the protobuf reply it was read from, for those who pass it on; leave it as it is.
    """

    width: int
    height: int
    tags: TagsResult | None
    text: TextResult | None
    caption: CaptionResult | None
    cost: int
    timings: Timings
    request_id: str
    message: AnnotateResponse = field(repr=False, compare=False)

    @property
    def results(self) -> Mapping[str, TagsResult | TextResult | CaptionResult]:
        """The results of the tasks that were asked for, by the task's name."""
        asked = {"caption": self.caption, "tags": self.tags, "text": self.text}
        return {task: result for task, result in asked.items() if result is not None}


@dataclass(frozen=True, slots=True)
class OptionInfo:
    """An option of a task: its default in protobuf's JSON form, and its smallest and largest value or length."""

    name: str
    default_value: str
    minimum: float | None
    maximum: float | None


@dataclass(frozen=True, slots=True)
class TaskLimit:
    """Within what a task works: `value` in the unit that `name` ends with, and what it means."""

    name: str
    value: float
    meaning: str


@dataclass(frozen=True, slots=True)
class TaskInfo:
    """A task of the server; `ready` if all its models are. `scripts` are those that it reads, ISO 15924."""

    name: str
    models: tuple[str, ...]
    languages: tuple[str, ...]
    price: int
    options: tuple[OptionInfo, ...]
    ready: bool
    scripts: tuple[str, ...]
    limits: tuple[TaskLimit, ...]


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model of the server: its role, what fills it, and under which terms."""

    name: str
    version: str
    license: str
    source: str
    research_only: bool
    digest: str
    ready: bool


@dataclass(frozen=True, slots=True)
class Limits:
    """What a request must keep to; 0 where the server names no limit."""

    image_bytes: int
    image_pixels: int
    image_side: int
    stream_in_flight: int
    in_flight: int


@dataclass(frozen=True, slots=True)
class Catalog:
    """What a server can do, as it runs now."""

    server_version: str
    tasks: tuple[TaskInfo, ...]
    models: tuple[ModelInfo, ...]
    limits: Limits
    formats: tuple[str, ...]
