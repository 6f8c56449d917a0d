# SPDX-License-Identifier: Apache-2.0
"""Lets the calls of a batch wait for capacity: for programs that send a call for each picture, all at once, and never retry."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from imagier_server.admission.callers import Shares
from imagier_server.admission.pace import Pace
from imagier_server.call import CallContext, Caller, Lane
from imagier_server.errors import Full, OverloadedError
from imagier_server.metrics import Metrics

BATCH_CALLS = 256
"""The places of one server: more calls than a browser, which sends some batches, has under way."""

_MEMBER = "batch"
"""All calls of a group's batches count as one member, as a stream does, so that they leave room to its other calls."""


class Batches:
    """The places of one server for the calls of batches, from the arrival to the answer; groups of callers share them.

    Such a call waits for `wait_seconds` at most, and is answered within `deadline_seconds`.
    """

    def __init__(
        self, shares: Shares, wait_seconds: float, deadline_seconds: float, metrics: Metrics, pace: Pace
    ) -> None:
        self._shares = shares
        self._wait_seconds = wait_seconds
        self._deadline_seconds = deadline_seconds
        self._metrics = metrics
        self._pace = pace
        self._count = 0

    @contextmanager
    def place(self, call: CallContext) -> Iterator[CallContext]:
        """The same call in the bulk lane, where it may wait. Raises `OverloadedError` if all places are taken."""
        if self._count >= self._shares.total or not self._shares.fits(call.caller, 1):
            self._metrics.refused_calls.labels(Full.ARRIVING.value).inc()
            raise OverloadedError(
                "too many pictures of batches wait", Full.ARRIVING, retry_after=self._pace.turn(call.caller.group)
            )
        now = asyncio.get_running_loop().time()
        deadline = min(call.deadline, now + self._deadline_seconds)
        self._change(call.caller, 1)
        try:
            yield replace(
                call,
                lane=Lane.BULK,
                caller=Caller(call.caller.group, _MEMBER),
                deadline=deadline,
                waits_until=min(deadline, now + self._wait_seconds),
            )
        finally:
            self._change(call.caller, -1)

    def _change(self, caller: Caller, calls: int) -> None:
        self._count += calls
        self._shares.change(caller, calls)
