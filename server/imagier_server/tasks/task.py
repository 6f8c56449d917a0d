# SPDX-License-Identifier: Apache-2.0
"""The anatomy that every task shares: pure `prepare`, injected `infer`, pure `finish`, and `run`, which joins them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, Protocol, TypeVar

from imagier_server.messages import Picture, Tensors
from imagier_server.timings import Stage

P = ParamSpec("P")
T = TypeVar("T")
Options_contra = TypeVar("Options_contra", contravariant=True)
Result_co = TypeVar("Result_co", covariant=True)


@dataclass(frozen=True, slots=True)
class OptionInfo:
    """What the catalogue says of an option: its default in protobuf's JSON form, and its bounds if it has any."""

    name: str
    default: str
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True, slots=True)
class LimitInfo:
    """Within what a task works, as the catalogue says: `value` in the unit that `name` ends with."""

    name: str
    value: float
    meaning: str


class Steps(Protocol):
    """What a task may do beside arithmetic, on behalf of one request; each step runs under its stage's clock."""

    async def compute(self, stage: Stage, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs a pure function off the event loop."""
        ...

    async def infer(self, model: str, inputs: Tensors) -> Tensors:
        """Runs one model: inputs by name → outputs by name. Raises `ImagierError`. May be called several times at once."""
        ...


class Task(Protocol[Options_contra, Result_co]):
    """Something that can be asked of a picture.

    `name` is the task's field in the contract; `models` the roles it needs; `languages` what it answers in (or reads);
    `scripts` what it reads (ISO 15924); `price` in credits. A server may do without the models of an `optional` task: their terms
    have to be accepted by whoever runs it.
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
    def options(self) -> tuple[OptionInfo, ...]: ...
    @property
    def price(self) -> int: ...

    def check(self, options: Options_contra) -> None:
        """Raises `InvalidRequestError` with the field if an option is out of its range."""
        ...

    def scale(self, width: int, height: int) -> float:
        """The smallest scale, at most 1, at which a picture of that size in pixels is read as well as at its full size."""
        ...

    async def run(
        self, picture: Picture, options: Options_contra, languages: tuple[str, ...], steps: Steps
    ) -> Result_co:
        """Annotates `picture`, whose pixels are at `scale` or above."""
        ...
