# SPDX-License-Identifier: Apache-2.0
"""Quotas of pictures in moving windows: per key, and of all keys together. Counted by `limits`, here or in a shared Valkey."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache

from limits import RateLimitItem
from limits.aio.storage import MemoryStorage, Storage
from limits.aio.strategies import MovingWindowRateLimiter

from imagier_server.admission.admission import Receipt, Work
from imagier_server.admission.holdings import holder_of, limits_of
from imagier_server.admission.pace import SHORTEST_SECONDS
from imagier_server.call import CallContext, KeyLimits
from imagier_server.errors import Quota, QuotaError
from imagier_server.logs import log
from imagier_server.metrics import Metrics
from imagier_server.moving_windows import parse

_STORE_SECONDS = 0.5  # for an answer of the shared store
_AGAIN_SECONDS = 5.0  # without it, before it is asked again
_REST_SECONDS = 10.0  # between two sweeps of the memory
_JUMP_SECONDS = 5.0  # of the wall clock against the monotonic one; a clock set by degrees stays with it

_WHOSE = {Quota.KEY_PICTURES: "this key", Quota.SERVER_PICTURES: "all keys together"}

_windows = lru_cache(1024)(parse)


@dataclass(frozen=True, slots=True)
class _Window:
    """A window, the name of what it counts, and the quota that it belongs to."""

    item: RateLimitItem
    name: str
    quota: Quota


class _Memory(MemoryStorage):
    """The memory of `limits`, which sweeps out what has expired once in a while.

    By itself it does so after nearly every picture, in a thread for each key: a thousand callers would cost each picture 30 ms.
    """

    _sweep: asyncio.Task[None] | None = None
    _rest: asyncio.Future[None] | None = None

    @property  # type: ignore[override]
    def timer(self) -> asyncio.Future[None] | None:
        """Done when the next picture may begin a sweep."""
        return self._rest

    @timer.setter
    def timer(self, sweep: asyncio.Task[None] | None) -> None:
        self._sweep = sweep  # or it might be collected before it is done
        loop = asyncio.get_running_loop()
        self._rest = rest = loop.create_future()
        loop.call_later(_REST_SECONDS, rest.set_result, None)


class Windows:
    """Counts pictures in moving windows: in `shared`, for several gateways, else in memory.

    While `shared` fails, each gateway counts by itself: a quota is a bound on a caller, and no reason to refuse everybody.
    """

    def __init__(self, metrics: Metrics, shared: Storage | None = None, clock: Callable[[], float] = time.time) -> None:
        self._up = metrics.quota_store_up
        self._memory = MovingWindowRateLimiter(_Memory())
        self._clock = clock
        self._offset = self._present_offset()
        self._shared = MovingWindowRateLimiter(shared) if shared else None
        errors = shared.base_exceptions if shared else ()
        self._errors: tuple[type[Exception], ...] = (
            OSError,
            TimeoutError,
            *(errors if isinstance(errors, tuple) else (errors,)),
        )
        self._again = 0.0
        self._failing = False

    async def take(self, windows: Sequence[_Window]) -> None:
        """Count one picture in each window. Raises `QuotaError` if one is full; then no window counts it."""
        if self._shared and time.monotonic() >= self._again:
            try:
                async with asyncio.timeout(_STORE_SECONDS):
                    await self._take(self._shared, windows)
            except QuotaError:
                self._answered()
                raise
            except self._errors as error:
                self._failed(error)
            else:
                self._answered()
                return
        self._empty_after_jump()
        await self._take(self._memory, windows)

    def _present_offset(self) -> float:
        return self._clock() - time.monotonic()

    def _empty_after_jump(self) -> None:
        """Count in memory from zero if the wall clock has jumped.

        `limits` dates pictures by it: after a jump back, those of the future would fill their windows until then. In a shared store
        a full window ends by the store's own clock, one length after its last picture.
        """
        offset = self._present_offset()
        if abs(offset - self._offset) > _JUMP_SECONDS:
            log(logging.WARNING, "clock jumped: quotas count from zero", seconds=round(offset - self._offset))
            self._memory = MovingWindowRateLimiter(_Memory())
            self._offset = offset

    async def _take(self, limiter: MovingWindowRateLimiter, windows: Sequence[_Window]) -> None:
        if len(windows) > 1:  # a full one must not cost a picture in the others
            for window in windows:
                if not await limiter.test(window.item, window.name):
                    raise await self._refusal(limiter, window)
        for window in windows:
            if not await limiter.hit(window.item, window.name):
                raise await self._refusal(limiter, window)

    async def _refusal(self, limiter: MovingWindowRateLimiter, window: _Window) -> QuotaError:
        until = (await limiter.get_window_stats(window.item, window.name)).reset_time - self._clock()
        return QuotaError(
            f"{_WHOSE[window.quota]} may have {window.item} read: wait, or ask the operator for more",
            window.quota,
            retry_after=min(max(until, SHORTEST_SECONDS), window.item.get_expiry()),
        )

    def _answered(self) -> None:
        if self._failing:
            self._failing = False
            self._up.set(1)
            log(logging.INFO, "quota store answers again")

    def _failed(self, error: BaseException) -> None:
        self._again = time.monotonic() + _AGAIN_SECONDS
        if not self._failing:
            self._failing = True
            self._up.set(0)
            log(logging.WARNING, "quota store fails: this gateway counts by itself", error=type(error).__name__)


class Quotas:
    """The quotas of one server: `default` for each key that has none of its own, `total` for all keys together.

    On a server without keys each address counts as one.
    """

    def __init__(self, default: KeyLimits, total: str | None, windows: Windows) -> None:
        self._default = default
        self._total = tuple(_Window(item, "server", Quota.SERVER_PICTURES) for item in parse(total)) if total else ()
        self._windows = windows

    @asynccontextmanager
    async def stage(self, work: Work, call: CallContext, _receipt: Receipt) -> AsyncIterator[None]:
        """The stage of admission: count a picture that has passed all others. Raises `QuotaError`."""
        if work.image is not None and (windows := (*self._own(call), *self._total)):
            await self._windows.take(windows)
        yield

    def _own(self, call: CallContext) -> tuple[_Window, ...]:
        text = limits_of(call, self._default).pictures
        if not text:
            return ()
        name = hashlib.blake2b(holder_of(call).encode(), digest_size=16).hexdigest()
        return tuple(_Window(item, name, Quota.KEY_PICTURES) for item in _windows(text))
