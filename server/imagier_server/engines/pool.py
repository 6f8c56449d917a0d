# SPDX-License-Identifier: Apache-2.0
"""All engines as one: each request goes to the least loaded, and once more to another where the first has failed it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Protocol, Self

from imagier_server.engines.balancer import Balancer
from imagier_server.engines.budget import RetryBudget
from imagier_server.errors import EngineUnavailableError, InternalError, ModelUnavailableError
from imagier_server.logs import log, logger
from imagier_server.messages import Lane, Tensors
from imagier_server.metrics import Metrics

_LOOK_SECONDS = 1.0
_FIRST_EJECTION_SECONDS = 0.5
_MAX_EJECTION_SECONDS = 4.0
# What is left of a deadline must be worth another try.
_ROOM_SECONDS = 0.05
# Looks in a row without an answer to anything, until an engine counts as hung; a single one may be slow on a busy machine.
_HUNG = 2
# Errors of one model in a row, until its engine may be the cause; a single picture may bring a few.
_FAULTY = 5


class Engine(Protocol):
    """One engine. `look` raises TimeoutError where the answer takes too long; `close` fails what is under way."""

    async def infer(self, model: str, inputs: Tensors, *, lane: Lane, seconds: float) -> Tensors: ...

    async def look(self) -> Mapping[str, bool]: ...

    async def close(self) -> None: ...


class _Faults:
    """The errors of one model on one engine since its last good answer there. The time is the event loop's."""

    def __init__(self) -> None:
        self.count = 0
        self.benchings = 0
        self.benched_until = 0.0


class _Member:
    """One address. `epoch` counts ejections: what was sent before the last one says nothing about the engine of now.

    `proven` are the models whose last answer was good, `faults` those whose last was an error.
    One that has `left` the addresses is used until others have what it has; one that is `retired` takes no request any more.
    """

    def __init__(self, address: str, engine: Engine) -> None:
        self.address = address
        self.engine = engine
        self.ready: Mapping[str, bool] = {}
        self.in_flight = 0
        self.failures = 0
        self.unanswered = 0
        self.epoch = 0
        self.faults: dict[str, _Faults] = {}
        self.proven: set[str] = set()
        self.left = False
        self.retired = False
        self.woken = asyncio.Event()

    @property
    def has(self) -> set[str]:
        """The models that are ready here."""
        return {model for model, ready in self.ready.items() if ready}

    @property
    def benched(self) -> set[str]:
        """The models that fail here and not elsewhere, for the time until they are tried again."""
        now = _now()
        return {model for model, faults in self.faults.items() if now < faults.benched_until}

    @property
    def failing(self) -> set[str]:
        """The models that were benched here and have not given a good answer since."""
        return {model for model, faults in self.faults.items() if faults.benchings}

    @property
    def up(self) -> bool:
        return any(self.ready.values())

    @property
    def over(self) -> bool:
        return self.retired and not self.in_flight

    @property
    def rest(self) -> float:
        """Seconds until the next look. After the first failure there is none: most are a connection that ended."""
        if self.up or self.retired:
            return _LOOK_SECONDS
        return _ejection(self.failures - 2) if self.failures >= 2 else 0.0


class Engines:
    """The engines at the addresses that `use` was given last. `async with` ends them.

    An engine is ejected when it does not answer, and admitted again after a look that finds models ready; each failure in a row
    doubles the time until that look, as outlier ejection in Envoy does. One that is retired finishes what it has.

    An engine that says it is ready and yet fails whatever it is given would be the least busy of all, and be given most. So a model
    that fails many times in a row on one engine, while its last answer on another was good, is benched there for as long.
    """

    def __init__(
        self, models: Iterable[str], connect: Callable[[str], Engine], budget: RetryBudget, metrics: Metrics
    ) -> None:
        self._models = tuple(models)
        self._connect = connect
        self._budget = budget
        self._metrics = metrics
        self._members: dict[str, _Member] = {}
        self._lives: dict[_Member, asyncio.Task[None]] = {}
        self._balancer = Balancer[_Member](self._models)
        self._changed = asyncio.Event()
        self.ready: Mapping[str, bool] = MappingProxyType(dict.fromkeys(self._models, False))
        """Readiness by model: whether any engine has it, as of the last look or failure."""
        self.troubled = asyncio.Event()
        """Set when an engine fails: its address may be out of date."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for life in self._lives.values():
            life.cancel()
        if self._lives:
            await asyncio.wait(self._lives.values())

    def use(self, addresses: Collection[str]) -> None:
        """Takes the engines at these 'HOST:PORT' from now on: connects to new ones, retires those left out.

        One left out that has a model ready serves until one of these has it ready, too, or until it fails: where all are replaced
        at once, the new ones have not been asked yet. Without any address there is nothing to wait for.
        """
        for address in sorted(set(addresses) - self._members.keys()):
            member = self._members[address] = _Member(address, self._connect(address))
            self._lives[member] = asyncio.create_task(self._live(member))
            self._lives[member].add_done_callback(partial(self._forget, member))
        for address, member in sorted(self._members.items()):
            member.left = address not in addresses
            if not addresses:
                self._retire(member)
        self._refresh()

    async def infer(self, model: str, inputs: Tensors, *, lane: Lane, seconds: float) -> Tensors:
        """Runs `model` on one engine, or on a second one if the first cannot be reached or has lost the model.

        An inference changes nothing, so it may run twice; it does not where the deadline leaves no room or the budget is spent.
        Raises as the engine does, and `ModelUnavailableError` or `EngineUnavailableError` at once if none has the model ready.
        """
        member = self._balancer.choose(model)
        if member is None:
            raise (
                ModelUnavailableError(f"the model {model} is not ready")
                if any(self.ready.values())
                else EngineUnavailableError("the inference engine does not answer")
            )
        self._budget.earn()
        deadline = _now() + seconds
        try:
            return await self._infer(member, model, inputs, lane, seconds)
        except (EngineUnavailableError, ModelUnavailableError):
            left = deadline - _now()
            other = self._balancer.choose(model, but=member)
            if other is None or left < _ROOM_SECONDS or not self._budget.spend():
                self._metrics.engine_retries.labels("refused").inc()
                raise
        self._metrics.engine_retries.labels("sent").inc()
        return await self._infer(other, model, inputs, lane, left)

    async def wait_ready(self, models: Iterable[str]) -> None:
        """Waits, for as long as it takes, until each of `models` is ready somewhere."""
        wanted = tuple(models)
        while not all(self.ready.get(model, False) for model in wanted):
            self._changed.clear()
            await self._changed.wait()

    async def _infer(self, member: _Member, model: str, inputs: Tensors, lane: Lane, seconds: float) -> Tensors:
        epoch = member.epoch
        member.in_flight += 1
        try:
            outputs = await member.engine.infer(model, inputs, lane=lane, seconds=seconds)
        except EngineUnavailableError:
            if member.epoch == epoch:
                self._eject(member)
            raise
        except ModelUnavailableError:
            if member.epoch == epoch:
                self._set_ready(member, {**member.ready, model: False})
                member.woken.set()
            raise
        except InternalError:
            if member.epoch == epoch:
                self._count_fault(member, model)
            raise
        finally:
            member.in_flight -= 1
            if member.over:
                member.woken.set()
        member.unanswered = 0
        if member.epoch == epoch:
            member.failures = 0
            member.proven.add(model)
            if member.faults.pop(model, None):
                self._set_ready(member, member.ready)
        return outputs

    async def _live(self, member: _Member) -> None:
        """Looks after one address until it is retired and its last request is answered."""
        try:
            while not member.over:
                try:
                    await self._look(member)
                except Exception:
                    # An answer that nobody foresaw: without this, the engine would be ready for ever, and nobody would look.
                    logger.exception("engine look failed", extra={"fields": {"address": member.address}})
                    self._eject(member)
                await _rest(member)
        finally:
            await member.engine.close()

    def _forget(self, member: _Member, _: object) -> None:
        del self._lives[member]
        # An address may have come back while the one before it finished what it had: they share their series.
        if all(each.address != member.address for each in self._lives):
            self._metrics.forget_engine(member.address)

    async def _look(self, member: _Member) -> None:
        epoch = member.epoch
        try:
            ready = await member.engine.look()
        except TimeoutError:
            member.unanswered += 1
            if member.unanswered >= _HUNG:
                self._eject(member)
                if member.in_flight and any(each.up for each in self._members.values()):
                    # Others can have what it holds; closing is what tells the requests.
                    hung, member.engine = member.engine, self._connect(member.address)
                    await hung.close()
            return
        member.unanswered = 0
        if member.epoch != epoch or member.retired:
            return  # it has failed a request meanwhile
        if not any(ready.values()):
            self._eject(member)
        else:
            if member.up:
                member.failures = 0
            self._set_ready(member, ready)

    def _count_fault(self, member: _Member, model: str) -> None:
        member.proven.discard(model)
        faults = member.faults.setdefault(model, _Faults())
        faults.count += 1
        if faults.count < _FAULTY or model not in member.has - member.benched:
            return
        # What fails everywhere is the picture's doing, or the model's: no engine is better than this one.
        if any(model in each.has & each.proven for each in self._members.values()):
            faults.benched_until = _now() + _ejection(faults.benchings)
            if not faults.benchings:
                log(logging.ERROR, "engine fails at a model", address=member.address, model=model)
            faults.benchings += 1
            self._set_ready(member, member.ready)

    def _eject(self, member: _Member) -> None:
        member.epoch += 1
        # What comes back may be another process.
        member.faults.clear()
        member.proven.clear()
        member.failures += 1
        member.woken.set()
        self.troubled.set()
        self._set_ready(member, {})

    def _set_ready(self, member: _Member, ready: Mapping[str, bool]) -> None:
        before, was_up, member.ready = member.ready, member.up, ready
        self._metrics.set_engine_ready(member.address, member.has - member.failing >= set(self._models))
        if before != ready and not member.retired:
            level = logging.INFO if member.up else logging.WARNING
            self._metrics.engine_ejections.inc(was_up and not member.up)
            log(level, "engine ready" if member.up else "engine not ready", address=member.address, models=dict(ready))
        self._refresh()

    def _retire(self, member: _Member) -> None:
        del self._members[member.address]
        member.retired, member.ready = True, {}
        member.woken.set()
        log(logging.INFO, "engine retired", address=member.address)

    def _refresh(self) -> None:
        members = self._members.values()
        replaced = set[str]().union(*(member.has for member in members if not member.left))
        for member in [each for each in members if each.left and each.has <= replaced]:
            self._retire(member)
        self._balancer.update(members)
        self.ready = MappingProxyType({model: self._balancer.has(model) for model in self._models})
        for model, state in self.ready.items():
            self._metrics.model_ready.labels(model).set(state)
        self._metrics.engines.set(len(members))
        self._metrics.engines_up.set(sum(member.up for member in members))
        self._changed.set()


def _now() -> float:
    return asyncio.get_running_loop().time()


def _ejection(doublings: int) -> float:
    """Seconds for which an engine is given up that has failed so many times before in a row."""
    return min(_MAX_EJECTION_SECONDS, _FIRST_EJECTION_SECONDS * 2.0 ** min(doublings, 10))


async def _rest(member: _Member) -> None:
    """Until the next look is due, or there will be none. What wakes it asks for that look, or has changed when it is due."""
    while not member.over:
        member.woken.clear()
        before = member.up, member.retired
        try:
            async with asyncio.timeout(member.rest):
                await member.woken.wait()
        except TimeoutError:
            return
        if (member.up, member.retired) == before:
            return
