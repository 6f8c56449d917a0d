# SPDX-License-Identifier: Apache-2.0
"""Active health checks: each endpoint is asked periodically which models are ready, until it has drained."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

from imagier_server.engines.endpoint import Endpoint, State
from imagier_server.engines.outlier_detection import ejection_seconds
from imagier_server.logs import logger

INTERVAL_SECONDS = 1.0
# Consecutive checks without any answer until an engine counts as hung; a single one may be slow on a busy machine.
UNHEALTHY_THRESHOLD = 2
# Unanswered checks until its requests in flight are failed although no other engine is up: minutes. Callers retry.
LOST_THRESHOLD = 30


class Verdict(Protocol):
    """The reactions to a health check."""

    def admit(self, endpoint: Endpoint, ready: Mapping[str, bool]) -> None: ...

    def eject(self, endpoint: Endpoint) -> None: ...

    async def reconnect(self, endpoint: Endpoint, *, lost: bool) -> None: ...


class HealthCheck:
    """The health check of one endpoint."""

    def __init__(self, endpoint: Endpoint, verdict: Verdict) -> None:
        self._endpoint = endpoint
        self._verdict = verdict
        self._unanswered = 0

    @property
    def interval(self) -> float:
        """Seconds until the next check; 0 after a first failure, which is mostly a closed connection."""
        endpoint = self._endpoint
        if endpoint.state in {State.READY, State.DRAINING}:
            return INTERVAL_SECONDS
        return ejection_seconds(endpoint.failures - 2) if endpoint.failures >= 2 else 0.0

    def answered(self) -> None:
        """Record that an inference was answered: the engine does not hang."""
        self._unanswered = 0

    async def run(self) -> None:
        """Check until the endpoint has drained."""
        while not self._endpoint.over:
            try:
                await self._check()
            except Exception:
                # Without this, an unexpected answer would end the checks and leave the engine ready for ever.
                logger.exception("engine health check failed", extra={"fields": {"address": self._endpoint.address}})
                self._verdict.eject(self._endpoint)
            await self._rest()

    async def _check(self) -> None:
        endpoint, epoch = self._endpoint, self._endpoint.epoch
        try:
            ready = await endpoint.engine.check()
        except TimeoutError:
            self._unanswered += 1
            if self._unanswered >= UNHEALTHY_THRESHOLD:
                self._verdict.eject(endpoint)
                if endpoint.in_flight:
                    await self._verdict.reconnect(endpoint, lost=self._unanswered >= LOST_THRESHOLD)
            return
        self._unanswered = 0
        if endpoint.epoch != epoch or endpoint.state is State.DRAINING:
            return  # it has failed a request meanwhile
        if not any(ready.values()):
            self._verdict.eject(endpoint)
        else:
            if endpoint.up:
                endpoint.failures = 0
            self._verdict.admit(endpoint, ready)

    async def _rest(self) -> None:
        """Sleep until the next check is due; `changed` wakes it early."""
        endpoint = self._endpoint
        while not endpoint.over:
            endpoint.changed.clear()
            before = endpoint.state
            try:
                async with asyncio.timeout(self.interval):
                    await endpoint.changed.wait()
            except TimeoutError:
                return
            if endpoint.state is before:
                return
