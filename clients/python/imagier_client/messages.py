# SPDX-License-Identifier: Apache-2.0
"""The client's values: answers and the catalogue. Frozen, typed, without protobuf. Each task's own are in `tasks`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar, cast

from imagier_client.receipts import ReceiptKey, SignedReceipt
from imagier_client.tasks.registry import BuiltInResults
from imagier_client.tasks.task import TaskOptions, TaskResult

if TYPE_CHECKING:
    from imagier.v1.annotator_pb2 import AnnotateResponse

R = TypeVar("R", bound=TaskResult)


@dataclass(frozen=True, slots=True)
class StageTiming:
    """Seconds that one stage ("decode", "prepare", "infer", "finish") took for one task; `task` is "" for what tasks share."""

    task: str
    stage: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Timings:
    """The server's time by stage, in seconds. Tasks run at the same time: their stages add up to more than `total`."""

    total: float = 0.0
    stages: tuple[StageTiming, ...] = ()


@dataclass(frozen=True, slots=True)
class Annotation(BuiltInResults):
    """The answer to one picture: its size in pixels when upright, and `results`, one for each task asked for, by its name.

    `annotation.tags` is the result of a built-in task, None if it was not asked for; `annotation[Tags]` that of any. `message` is
    the protobuf reply it was read from, for those who pass it on; leave it as it is. `receipt` is there if it was asked for.
    """

    width: int
    height: int
    results: Mapping[str, TaskResult] = field(hash=False)
    cost: int
    timings: Timings
    request_id: str
    message: AnnotateResponse = field(repr=False, compare=False)
    receipt: SignedReceipt | None = None

    def __getitem__(self, task: type[TaskOptions[R]]) -> R:
        """The result of that task. Raises KeyError if it was not asked for."""
        return cast("R", self.results[task.task])


@dataclass(frozen=True, slots=True)
class OptionInfo:
    """An option of a task: its default in protobuf's JSON form, and its smallest and largest value or length."""

    name: str
    default_value: str
    minimum: float | None
    maximum: float | None


@dataclass(frozen=True, slots=True)
class TaskLimit:
    """A limit of a task: `value` in the unit that `name` ends with, and its meaning."""

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
    """A model of the server: its role (`name`), the weights that fill it, and their terms."""

    name: str
    version: str
    license: str
    source: str
    research_only: bool
    digest: str
    ready: bool


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a request; 0 where the server names none."""

    image_bytes: int
    image_pixels: int
    image_side: int
    stream_in_flight: int
    in_flight: int


@dataclass(frozen=True, slots=True)
class Catalog:
    """The server's tasks, models, limits and formats, as it runs now; `receipt_key` verifies its receipts, if it signs any."""

    server_version: str
    tasks: tuple[TaskInfo, ...]
    models: tuple[ModelInfo, ...]
    limits: Limits
    formats: tuple[str, ...]
    receipt_key: ReceiptKey | None = None
