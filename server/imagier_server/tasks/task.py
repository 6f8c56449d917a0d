# SPDX-License-Identifier: Apache-2.0
"""The anatomy that every task shares."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from imagier_server.messages import Picture, TaskOptions, TaskResult, Tensors

Infer = Callable[[str, Tensors], Awaitable[Tensors]]
"""Runs one model: (model name, inputs by name) → outputs by name. Raises `ImagierError`."""

OptionsT = TypeVar("OptionsT", bound=TaskOptions, contravariant=True)
ResultT = TypeVar("ResultT", bound=TaskResult, covariant=True)


@dataclass(frozen=True, slots=True)
class OptionInfo:
    """What the catalogue says of an option: its default in protobuf's JSON form, and its bounds."""

    name: str
    default: str
    minimum: float | None = None
    maximum: float | None = None


class Steps(Protocol):
    """Runs the pure parts of a task off the event loop, each under its stage's clock, and its inferences."""

    async def prepare(self, function: Callable[..., object], *arguments: object) -> object: ...
    async def finish(self, function: Callable[..., object], *arguments: object) -> object: ...
    async def infer(self, model: str, inputs: Tensors) -> Tensors: ...


class Task(Protocol[OptionsT, ResultT]):
    """Something that can be asked of a picture."""

    name: str
    models: tuple[str, ...]
    languages: tuple[str, ...]
    options: tuple[OptionInfo, ...]
    price: int

    def scale(self, width: int, height: int) -> float:
        """The smallest scale, at most 1, at which this task still reads a picture of that size as well as at full size."""
        ...
