# SPDX-License-Identifier: Apache-2.0
"""One engine address and its state: models ready, models ejected, requests in flight."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol

from imagier_server.call import CallContext
from imagier_server.engines.outlier_detection import OutlierDetection
from imagier_server.messages import Tensors


class Engine(Protocol):
    """One engine. `check` raises TimeoutError if the answer takes too long; `close` fails the requests in flight."""

    async def infer(self, model: str, inputs: Tensors, call: CallContext) -> Tensors: ...

    async def check(self) -> Mapping[str, bool]: ...

    async def close(self) -> None: ...


class State(StrEnum):
    """The life cycle of an endpoint."""

    CONNECTING = "connecting"  # no health check has found a model ready yet
    READY = "ready"  # at least one model is ready
    EJECTED = "ejected"  # failed as a whole; only a health check readmits it
    DRAINING = "draining"  # takes no new requests, finishes those in flight


class Endpoint:
    """One engine at one address.

    `epoch` counts ejections: the outcome of a request sent before the last one is ignored. A `leaving` endpoint is no longer
    among the addresses, but used until others have its models.
    """

    def __init__(self, address: str, engine: Engine) -> None:
        self.address = address
        self.engine = engine
        self.state = State.CONNECTING
        self.ready: Mapping[str, bool] = {}
        self.outliers = OutlierDetection()
        self.in_flight = 0
        self.failures = 0
        self.epoch = 0
        self.leaving = False
        self.changed = asyncio.Event()
        """Set when the next health check may be due earlier."""

    @property
    def has(self) -> set[str]:
        """Models that the engine reports as ready."""
        return {model for model, ready in self.ready.items() if ready}

    @property
    def ejected(self) -> set[str]:
        """Models ejected here because they fail."""
        return self.outliers.ejected

    @property
    def up(self) -> bool:
        """Whether at least one model is ready."""
        return self.state is State.READY

    @property
    def over(self) -> bool:
        """Whether it has drained: no request is left in flight."""
        return self.state is State.DRAINING and not self.in_flight

    def admit(self, ready: Mapping[str, bool]) -> None:
        """Update the models ready, from a health check or a refused request."""
        self.ready = ready
        if self.state is not State.DRAINING and self.has:
            self.state = State.READY
        elif self.state is State.READY:
            self.state = State.EJECTED

    def eject(self) -> None:
        """Eject the endpoint; what answers next may be another process."""
        self.epoch += 1
        self.failures += 1
        self.outliers.clear()
        self.ready = {}
        if self.state is not State.DRAINING:
            self.state = State.EJECTED
        self.changed.set()

    def drain(self) -> None:
        """Stop taking new requests."""
        self.state, self.ready = State.DRAINING, {}
        self.changed.set()
