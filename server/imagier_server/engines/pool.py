# SPDX-License-Identifier: Apache-2.0
"""All engines as one: least-request balancing, and one retry on another engine."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Self

from imagier_server.call import CallContext
from imagier_server.engines.balancer import Balancer
from imagier_server.engines.budget import RetryBudget
from imagier_server.engines.endpoint import Endpoint, Engine, State
from imagier_server.engines.health_check import HealthCheck
from imagier_server.errors import EngineUnavailableError, InternalError, ModelFailedError, ModelUnavailableError
from imagier_server.logs import log
from imagier_server.messages import Tensors
from imagier_server.metrics import Metrics

# The rest of the deadline that makes a retry worthwhile.
_ROOM_SECONDS = 0.05


class Engines:
    """The engines at the latest addresses. `async with` closes them.

    An engine that does not answer is ejected, and readmitted after a health check that finds models ready; each consecutive failure
    doubles the time until that check. A model that fails on one engine is ejected there (`outlier_detection`). A draining engine
    finishes its requests in flight.
    """

    def __init__(
        self, models: Iterable[str], connect: Callable[[str], Engine], budget: RetryBudget, metrics: Metrics
    ) -> None:
        self._models = tuple(models)
        self._connect = connect
        self._budget = budget
        self._metrics = metrics
        self._endpoints: dict[str, Endpoint] = {}
        self._checks: dict[Endpoint, HealthCheck] = {}
        self._lives: dict[Endpoint, asyncio.Task[None]] = {}
        self._balancer = Balancer[Endpoint](self._models)
        self._changed = asyncio.Event()
        self.ready: Mapping[str, bool] = MappingProxyType(dict.fromkeys(self._models, False))
        """Readiness by model: whether it works on any engine, as of the last check or answer."""
        self.re_resolve = asyncio.Event()
        """Set when an engine fails: its address may be out of date."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for life in self._lives.values():
            life.cancel()
        if self._lives:
            await asyncio.wait(self._lives.values())

    def set_addresses(self, addresses: Collection[str]) -> None:
        """Connect to new addresses; drain the engines at missing ones.

        A missing engine with a model ready serves until a listed one has that model, or until it fails: if all are replaced
        at once, the new ones have not been checked yet. With no address at all, every engine drains at once.
        """
        for address in sorted(set(addresses) - self._endpoints.keys()):
            endpoint = self._endpoints[address] = Endpoint(address, self._connect(address))
            self._checks[endpoint] = HealthCheck(endpoint, self)
            self._lives[endpoint] = asyncio.create_task(self._live(endpoint))
            self._lives[endpoint].add_done_callback(partial(self._remove, endpoint))
        for address, endpoint in sorted(self._endpoints.items()):
            endpoint.leaving = address not in addresses
            if not addresses:
                self._drain(endpoint)
        self._refresh()

    async def infer(self, model: str, inputs: Tensors, call: CallContext) -> Tensors:
        """Run `model` on one engine; retry once if that engine is unreachable, lost the model or fails at it.

        The retry goes to another engine; if no other has the model and its process died, to the same one, which may have another
        process. There is no retry without time or budget left. Raises as the engine does, and `ModelUnavailableError` or
        `EngineUnavailableError` at once if no engine has the model ready.
        """
        endpoint = self._balancer.choose(model)
        if endpoint is None:
            raise (
                ModelUnavailableError(f"the model {model} is not ready")
                if any(each.up for each in self._endpoints.values())
                else EngineUnavailableError("the inference engine does not answer")
            )
        self._budget.earn()
        try:
            return await self._infer(endpoint, model, inputs, call)
        except (EngineUnavailableError, ModelUnavailableError) as error:
            other = self._balancer.choose(model, but=endpoint)
            if other is None and isinstance(error, ModelFailedError):
                other = self._balancer.choose(model)
            if other is None or call.seconds_left < _ROOM_SECONDS or not self._budget.spend():
                self._metrics.engine_retries.labels("refused").inc()
                raise
        self._metrics.engine_retries.labels("sent").inc()
        return await self._infer(other, model, inputs, call)

    async def wait_ready(self, models: Iterable[str]) -> None:
        """Wait, without a limit, until each of `models` is ready on some engine."""
        wanted = tuple(models)
        while not all(self.ready.get(model, False) for model in wanted):
            self._changed.clear()
            await self._changed.wait()

    async def _infer(self, endpoint: Endpoint, model: str, inputs: Tensors, call: CallContext) -> Tensors:
        epoch = endpoint.epoch
        endpoint.in_flight += 1
        try:
            outputs = await endpoint.engine.infer(model, inputs, call)
        except (EngineUnavailableError, ModelUnavailableError, InternalError) as error:
            if endpoint.epoch == epoch:
                self._failed(endpoint, model, error)
            raise
        finally:
            endpoint.in_flight -= 1
            if endpoint.over:
                endpoint.changed.set()
        self._checks[endpoint].answered()
        if endpoint.epoch == epoch:
            endpoint.failures = 0
            if endpoint.outliers.answered(model):
                log(logging.INFO, "model readmitted", address=endpoint.address, model=model)
                self._tell(endpoint)
        return outputs

    def _failed(self, endpoint: Endpoint, model: str, error: Exception) -> None:
        match error:
            case EngineUnavailableError():
                self.eject(endpoint)
                return
            case ModelFailedError():
                ejected = endpoint.outliers.failed_itself(model)
            case ModelUnavailableError():
                self.admit(endpoint, {**endpoint.ready, model: False})
                endpoint.changed.set()
                return
            case _:
                others = (each for each in self._endpoints.values() if model in each.has & each.outliers.proven)
                ejected = endpoint.outliers.erred(model, sound_elsewhere=any(each is not endpoint for each in others))
        if ejected:
            log(logging.ERROR, "model ejected", address=endpoint.address, model=model, error=error.__class__.__name__)
            self._tell(endpoint)

    async def _live(self, endpoint: Endpoint) -> None:
        """Run one endpoint's health checks until it has drained."""
        try:
            await self._checks[endpoint].run()
        finally:
            await endpoint.engine.close()

    def _remove(self, endpoint: Endpoint, _: object) -> None:
        del self._lives[endpoint], self._checks[endpoint]
        # The address may have come back while its predecessor drained: the two share their series.
        if all(each.address != endpoint.address for each in self._lives):
            self._metrics.remove_engine(endpoint.address)

    def admit(self, endpoint: Endpoint, ready: Mapping[str, bool]) -> None:
        """Update an endpoint's models, from a health check or a refused request."""
        before, was_up = endpoint.ready, endpoint.up
        endpoint.admit(ready)
        self._tell(endpoint, before=before, was_up=was_up)

    def eject(self, endpoint: Endpoint) -> None:
        """Eject an endpoint until a health check finds models ready there."""
        before, was_up = endpoint.ready, endpoint.up
        endpoint.eject()
        self.re_resolve.set()
        self._tell(endpoint, before=before, was_up=was_up)

    async def reconnect(self, endpoint: Endpoint, *, lost: bool) -> None:
        """Fail a hung engine's requests in flight by closing its connection, if it is lost or another engine is up."""
        if lost or any(each.up for each in self._endpoints.values()):
            hung, endpoint.engine = endpoint.engine, self._connect(endpoint.address)
            await hung.close()

    def _tell(self, endpoint: Endpoint, before: Mapping[str, bool] | None = None, *, was_up: bool = False) -> None:
        """Record a change in metrics, log and balancer. `before`: the models ready before, if they may have changed."""
        sound = endpoint.has - endpoint.outliers.suspected >= set(self._models)
        self._metrics.set_engine_ready(endpoint.address, sound)
        if before not in (None, endpoint.ready) and endpoint.state is not State.DRAINING:
            up = endpoint.up
            self._metrics.engine_ejections.inc(was_up and not up)
            log(
                logging.INFO if up else logging.WARNING,
                "engine ready" if up else "engine not ready",
                address=endpoint.address,
                state=endpoint.state.value,
                models=dict(endpoint.ready),
            )
        self._refresh()

    def _drain(self, endpoint: Endpoint) -> None:
        del self._endpoints[endpoint.address]
        endpoint.drain()
        log(logging.INFO, "engine drains", address=endpoint.address)

    def _refresh(self) -> None:
        endpoints = self._endpoints.values()
        replaced = set[str]().union(*(each.has for each in endpoints if not each.leaving))
        for endpoint in [each for each in endpoints if each.leaving and each.has <= replaced]:
            self._drain(endpoint)
        self._balancer.update(endpoints)
        works = set[str]().union(*(each.has - each.outliers.failed for each in endpoints))
        self.ready = MappingProxyType({model: model in works for model in self._models})
        for model, state in self.ready.items():
            self._metrics.model_ready.labels(model).set(state)
        self._metrics.engines.set(len(endpoints))
        self._metrics.engines_up.set(sum(each.up for each in endpoints))
        self._changed.set()
