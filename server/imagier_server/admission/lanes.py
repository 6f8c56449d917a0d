# SPDX-License-Identifier: Apache-2.0
"""Keeps bulk work short in Triton while interactive calls come, so that none waits behind, or rides in, a large bulk batch."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from imagier_server.admission.pace import BusyRate, within_bounds
from imagier_server.call import CallContext, Lane
from imagier_server.errors import DeadlineError, OverloadedError
from imagier_server.messages import Tensors
from imagier_server.metrics import Metrics

_PRESENCE_SECONDS = 10.0
"""Seconds for which an interactive inference limits its model's bulk work: about the time between a user's clicks."""
_FASTEST_SECONDS = 30.0
"""The model's inference time is the fastest of the last one to two such spans, because machines become slower, too."""


class Engine(Protocol):
    """Runs a model: inputs by name → outputs by name, within the call's deadline."""

    async def infer(self, model: str, inputs: Tensors, call: CallContext) -> Tensors: ...


class BulkBound:
    """The bound on one model's bulk rows in flight, from observed inferences. Pure bookkeeping; `now` is the time.

    By Little's law, rows in flight = rows a second × seconds in flight. With at most `ahead` × the model's own time in flight, what
    is ahead of an interactive inference takes no longer than that, on a CPU (a few rows) as on a GPU (a few hundred).
    """

    def __init__(self, ahead: float) -> None:
        self._ahead = ahead
        self._rate = BusyRate()
        self._fastest = self._fastest_before = math.inf
        self._span_began = 0.0
        self._last_interactive = -math.inf

    def begin(self, rows: int, lane: Lane, now: float) -> None:
        """Count an inference that is sent."""
        self._rate.begin(rows, now)
        if lane is Lane.INTERACTIVE:
            self._last_interactive = now

    def end(self, rows: int, seconds: float | None, now: float) -> None:
        """Count its end after `seconds` in flight; None if it failed."""
        self._rate.end(rows, now, done=seconds is not None)
        if seconds is not None:
            self._next_span(now)
            self._fastest = min(self._fastest, seconds)

    def rows(self, now: float) -> float:
        """The bound; infinite without recent interactive inferences, or without observations."""
        self._next_span(now)
        fastest = min(self._fastest, self._fastest_before)
        rate = self._rate.per_second(now)
        idle = now - self._last_interactive > _PRESENCE_SECONDS
        if not self._ahead or idle or rate is None or math.isinf(fastest):
            return math.inf
        return rate * self._ahead * fastest

    def seconds(self, now: float) -> float | None:
        """Seconds until what is in flight now has ended; None if unknown."""
        rate = self._rate.per_second(now)
        return None if rate is None else self._rate.in_flight / rate

    def _next_span(self, now: float) -> None:
        if now - self._span_began > _FASTEST_SECONDS:
            self._fastest_before, self._fastest, self._span_began = self._fastest, math.inf, now


class _Model:
    """One model's bound, and the bulk inferences that wait for it in order."""

    def __init__(self, ahead: float) -> None:
        self.bound = BulkBound(ahead)
        self.bulk_rows = 0
        self.waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    def fits(self, rows: int, now: float) -> bool:
        # At least one, so that bulk work never stops.
        return not self.bulk_rows or self.bulk_rows + rows <= self.bound.rows(now)

    def wake(self, now: float) -> None:
        while self.waiting and self.fits(self.waiting[0][0], now):
            rows, turn = self.waiting.popleft()
            if not turn.done():  # its caller may be gone
                self.bulk_rows += rows
                turn.set_result(None)


class Lanes:
    """An engine that holds back bulk inferences, in order, by `BulkBound`.

    `ahead` is in multiples of a model's own time; 0 for no bound. Those that wait belong to admitted pictures, so they are bounded.
    """

    def __init__(self, engine: Engine, ahead: float, metrics: Metrics) -> None:
        self._engine = engine
        self._ahead = ahead
        self._metrics = metrics
        self._models: dict[str, _Model] = {}

    async def infer(self, model: str, inputs: Tensors, call: CallContext) -> Tensors:
        """Run `model` when the bound allows it. Raises as the engine, and `DeadlineError`."""
        loop = asyncio.get_running_loop()
        state = self._models.setdefault(model, _Model(self._ahead))
        rows = next(iter(inputs.values())).shape[0]
        async with self._turn(state, model, rows, call.lane, loop.time):
            if call.seconds_left <= 0:
                raise DeadlineError
            began, took = loop.time(), None
            state.bound.begin(rows, call.lane, began)
            try:
                outputs = await self._engine.infer(model, inputs, call)
                took = loop.time() - began
            except OverloadedError as error:
                if (queued := state.bound.seconds(loop.time())) is not None:
                    error.retry_after = within_bounds(queued)
                raise
            finally:
                state.bound.end(rows, took, loop.time())
        return outputs

    @asynccontextmanager
    async def _turn(
        self, state: _Model, model: str, rows: int, lane: Lane, now: Callable[[], float]
    ) -> AsyncIterator[None]:
        if lane is Lane.INTERACTIVE:
            yield
            return
        if state.waiting or not state.fits(rows, now()):
            turn = asyncio.get_running_loop().create_future()
            state.waiting.append((rows, turn))
            try:
                with self._metrics.bulk_waiting.labels(model).track_inprogress():
                    await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._leave(state, rows, now)
                raise
        else:
            state.bulk_rows += rows
        try:
            yield
        finally:
            self._leave(state, rows, now)

    @staticmethod
    def _leave(state: _Model, rows: int, now: Callable[[], float]) -> None:
        state.bulk_rows -= rows
        state.wake(now())
