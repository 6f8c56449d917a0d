# SPDX-License-Identifier: Apache-2.0
"""The anatomy that every task shares: pure `prepare`, injected `infer`, pure `finish`, and `run`, which joins them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeVar

from imagier_server.messages import Picture, Tensors
from imagier_server.tasks.options import Option
from imagier_server.timings import Stage

P = ParamSpec("P")
T = TypeVar("T")
Options_contra = TypeVar("Options_contra", contravariant=True)
Result_co = TypeVar("Result_co", covariant=True)


@dataclass(frozen=True, slots=True)
class LimitInfo:
    """A limit of a task, for the catalogue: `value` in the unit that `name` ends with."""

    name: str
    value: float
    meaning: str


class Steps(Protocol):
    """A task's means beyond arithmetic, for one request; each step is timed under its stage."""

    async def compute(self, stage: Stage, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a pure function off the event loop."""
        ...

    async def infer(self, model: str, inputs: Tensors) -> Tensors:
        """Run one model: inputs by name → outputs by name. Raises `ImagierError`. Concurrent calls are allowed."""
        ...


class Task(Protocol[Options_contra, Result_co]):
    """A task that can be requested for a picture.

    `name` is the task's field in the contract; `models` the roles it needs; `languages` those of its results (or those it reads);
    `scripts` what it reads (ISO 15924); `price` in credits, unless the operator sets another. The models of an `optional` task may
    be missing: the operator must accept their terms.
    """

    @property
    def name(self) -> str: ...
    @property
    def models(self) -> tuple[str, ...]: ...
    @property
    def optional(self) -> bool: ...
    @property
    def languages(self) -> tuple[str, ...]: ...
    @property
    def scripts(self) -> tuple[str, ...]: ...
    @property
    def limits(self) -> tuple[LimitInfo, ...]: ...
    @property
    def options(self) -> tuple[Option, ...]: ...
    @property
    def price(self) -> int: ...

    def check(self, options: Options_contra) -> None:
        """Raise `InvalidRequestError` with the field if an option is out of range."""
        ...

    def scale(self, width: int, height: int) -> float:
        """The smallest scale, at most 1, at which a picture of that size loses nothing for this task."""
        ...

    async def run(
        self, picture: Picture, options: Options_contra, languages: tuple[str, ...], steps: Steps
    ) -> Result_co:
        """Annotate `picture`, whose pixels are at `scale` or above."""
        ...


class TaskClass(Protocol):
    """A task class, known before any asset is loaded.

    `objective_seconds` is its latency objective (95th percentile), one of the histogram's buckets (`metrics.SECONDS`).
    """

    name: str
    models: tuple[str, ...]
    optional: bool
    objective_seconds: float

    def load(self, repository: Path) -> Task[Any, Any]:
        """Load the task with its assets from a model repository. Raises `ModelLockError` or `OSError`."""
        ...
