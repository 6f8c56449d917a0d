# SPDX-License-Identifier: Apache-2.0
"""Admission: stages that all work passes in order, and that settle at its end by what succeeded."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from types import MappingProxyType
from typing import Any, Protocol

from imagier_server.call import CallContext
from imagier_server.errors import ImageTooLargeError
from imagier_server.logs import logger
from imagier_server.messages import TaskOutcome

_NOTHING: Mapping[str, TaskOutcome] = MappingProxyType({})


class Work(Protocol):
    """Work to admit. `size`: bytes of the picture file plus characters of all words. `image`: None for work without one.

    `tasks`: the names of those asked for; empty for work without a picture.
    """

    @property
    def size(self) -> int: ...
    @property
    def image(self) -> bytes | None: ...
    @property
    def tasks(self) -> Collection[str]: ...


class Receipt:
    """The basis for settling when the work ends. `outcomes` by task; empty if the caller gets no answer.

    `reservation`: the id of the credits reserved for it; "" if there are none.
    """

    __slots__ = ("outcomes", "reservation")

    def __init__(self) -> None:
        self.outcomes = _NOTHING
        self.reservation = ""

    @property
    def succeeded(self) -> tuple[str, ...]:
        """The tasks that succeeded, which the caller is charged for."""
        return tuple(task for task, outcome in self.outcomes.items() if outcome.error is None)


Stage = Callable[[Work, CallContext, Receipt], AbstractAsyncContextManager[None]]
"""A stage: refuses work with an `ImagierError` or holds a permit for it, and settles by the receipt at its end."""


class Admission:
    """The stages of one server."""

    def __init__(self, stages: Sequence[Stage], knock: Callable[[CallContext], None] = lambda _: None) -> None:
        self._stages = stages
        self._knock = knock

    def knock(self, call: CallContext) -> None:
        """Raise `OverloadedError` if work of this call would be refused now, whatever it is."""
        self._knock(call)

    @asynccontextmanager
    async def admit(self, work: Work, call: CallContext) -> AsyncIterator[Receipt]:
        """Admit the work of the block, which writes its outcomes on the receipt. Raises the first refusing stage's error.

        However the work ends, every passed stage settles, in reverse order. One that fails to settle is logged: the answer stands.
        """
        receipt = Receipt()
        async with AsyncExitStack() as passed:
            for stage in self._stages:
                entered = stage(work, call, receipt)
                await entered.__aenter__()
                passed.push_async_exit(partial(_settle, entered))
            yield receipt


async def _settle(stage: AbstractAsyncContextManager[None], *end: Any) -> None:
    try:
        await stage.__aexit__(*end)  # raises only errors of its own
    except Exception:
        logger.exception("admission not settled")


def largest(image_bytes: int) -> Stage:
    """The stage that refuses larger picture files. Raises `ImageTooLargeError`."""

    @asynccontextmanager
    async def stage(work: Work, _call: CallContext, _receipt: Receipt) -> AsyncIterator[None]:
        if work.image is not None and len(work.image) > image_bytes:
            raise ImageTooLargeError(
                f"the picture file is larger than max_image_bytes (IMAGIER_MAX_IMAGE_BYTES): {image_bytes} bytes"
            )
        yield

    return stage
