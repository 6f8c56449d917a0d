# SPDX-License-Identifier: Apache-2.0
"""Checks that one Triton's models work, by the answers to callers' inferences and, without those, to probes.

Triton reports a model as ready although its processes are dead, and waits for ever for one that hangs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from imagier_server.call import CallContext, Lane
from imagier_server.errors import (
    DeadlineError,
    EngineUnavailableError,
    ImagierError,
    InternalError,
    ModelFailedError,
    OutOfStepError,
    OverloadedError,
)
from imagier_server.logs import log
from imagier_server.messages import Tensors
from imagier_server.outcomes import RestartReason
from imagier_server.warm_up import WarmUp

T = TypeVar("T")

PROBE_SECONDS = 10.0
"""Seconds without a good answer until a model is probed."""
PAUSE_SECONDS = 0.5  # minimum time between probes
# Minimum time for an answer until the model counts as hung. With 20 processes on 2 cores a page of text took more than 10 s, and
# a large batch takes longer than the probe's smallest sample of one row.
PATIENCE_SECONDS = 30.0
MAX_PATIENCE_SECONDS = 120.0
SLOWER_THAN_PROBE = 10
_TICK_SECONDS = 1.0


class Engine(Protocol):
    """The engine whose models are watched."""

    async def infer(self, model: str, inputs: Tensors, call: CallContext) -> Tensors: ...

    async def probe(self, model: str, inputs: Tensors, seconds: float) -> None: ...

    async def check(self) -> Mapping[str, bool]: ...

    async def close(self) -> None: ...


class _Request:
    """An inference in flight. `overtaken`: when a later one of the same lane was answered."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.overtaken: float | None = None


class Proof:
    """The evidence of one model's answers, in event loop time."""

    def __init__(self, warm_up: WarmUp) -> None:
        self.warm_up = warm_up
        self.answered = _now()
        self.proven = False
        self.failing = False
        self.suspect = asyncio.Event()
        """Set by an error that may be the model's own."""
        self.out_of_step = asyncio.Event()
        """Set by an error that only a restart mends."""
        self.patience = PATIENCE_SECONDS
        self._under_way: list[_Request] = []

    @contextmanager
    def inference(self, lane: Lane) -> Iterator[None]:
        """Observe the inference made in the block."""
        request = _Request(lane)
        self._under_way.append(request)
        try:
            yield
        except OutOfStepError:
            self.out_of_step.set()
            raise
        except (InternalError, ModelFailedError):
            self.suspect.set()
            raise
        else:
            self.good_answer()
            # Triton starts requests of one lane in order, so all earlier ones have been started by now.
            for earlier in self._under_way:
                if earlier is request:
                    break
                if earlier.lane is lane and earlier.overtaken is None:
                    earlier.overtaken = self.answered
        finally:
            self._under_way.remove(request)

    def good_answer(self) -> None:
        """Record that the model works."""
        self.answered = _now()
        self.proven, self.failing = True, False

    @property
    def stuck(self) -> bool:
        """Whether one instance hangs while another one answers."""
        now = _now()
        return any(each.overtaken is not None and now - each.overtaken > self.patience for each in self._under_way)

    async def due(self) -> None:
        """Wait until the model is due for a probe."""
        await asyncio.sleep(PAUSE_SECONDS)
        while not self.suspect.is_set() and (left := self.answered + PROBE_SECONDS - _now()) > 0:
            try:
                async with asyncio.timeout(left):
                    await self.suspect.wait()
            except TimeoutError:
                pass


class Liveness:
    """The liveness of one Triton's models. Callers use `watched`; `fault` returns when a model fails."""

    def __init__(self, warm_ups: Mapping[str, WarmUp]) -> None:
        self._proofs = {model: Proof(warm_up) for model, warm_up in warm_ups.items()}

    def watched(self, engine: Engine) -> WatchedEngine:
        """The same engine, with its answers observed."""
        return WatchedEngine(engine, self._proofs)

    async def fault(self, engine: Engine) -> tuple[str, RestartReason]:
        """Probe the models until one fails; return it and the reason."""
        probed = {model: proof for model, proof in self._proofs.items() if proof.warm_up.sample}
        return await first_of(
            *(_out_of_step(model, proof) for model, proof in self._proofs.items()),
            self._stuck(),
            *(_failure(engine, model, proof) for model, proof in probed.items()),
        )

    async def _stuck(self) -> tuple[str, RestartReason]:
        before: set[str] = set()
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            stuck = {model for model, proof in self._proofs.items() if proof.stuck}
            # Twice: if this process itself was stopped, pending answers must be read first.
            for model in sorted(stuck & before):
                return model, RestartReason.HUNG
            before = stuck


class WatchedEngine:
    """An engine whose answers a `Liveness` observes, and whose failing models are not ready."""

    def __init__(self, engine: Engine, proofs: Mapping[str, Proof]) -> None:
        self._engine = engine
        self._proofs = proofs

    async def infer(self, model: str, inputs: Tensors, call: CallContext) -> Tensors:
        with self._proofs[model].inference(call.lane):
            return await self._engine.infer(model, inputs, call)

    async def check(self) -> Mapping[str, bool]:
        ready = await self._engine.check()
        return {model: ready[model] and not self._proofs[model].failing for model in ready}

    async def close(self) -> None:
        await self._engine.close()


async def _out_of_step(model: str, proof: Proof) -> tuple[str, RestartReason]:
    """Wait for proof from a caller's inference. No probe is asked first: every answer until the restart may be a wrong one."""
    await proof.out_of_step.wait()
    return model, RestartReason.OUT_OF_STEP


async def _failure(engine: Engine, model: str, proof: Proof) -> tuple[str, RestartReason]:
    """Wait until a model fails. One that never answered its own sample is only marked as not ready:
    a restart would not help.
    """
    while True:
        await proof.due()
        # A healthy instance must not answer for a failing one.
        count = proof.warm_up.instances if proof.suspect.is_set() else 1
        proof.suspect.clear()
        reason = await _probe(engine, model, proof, count)
        if reason is RestartReason.ERRING:  # two errors are no coincidence
            reason = await _probe(engine, model, proof, proof.warm_up.instances)
        if reason is None:
            continue
        if proof.proven or reason is not RestartReason.ERRING:
            return model, reason
        if not proof.failing:
            log(logging.ERROR, "model fails at its own warm-up", model=model)
        proof.failing = True


async def _probe(engine: Engine, model: str, proof: Proof, count: int) -> RestartReason | None:
    """Return the model's fault, if any. A busy model is not hung: an answer to any caller counts."""
    began = _now()
    probes = (engine.probe(model, proof.warm_up.sample, proof.patience) for _ in range(count))
    results = await asyncio.gather(*probes, return_exceptions=True)
    took = _now() - began
    errors = [each for each in results if isinstance(each, BaseException)]
    if unforeseen := [each for each in errors if not isinstance(each, ImagierError)]:
        raise unforeseen[0]
    if any(isinstance(each, OutOfStepError) for each in errors):
        return RestartReason.OUT_OF_STEP
    if any(isinstance(each, ModelFailedError) for each in errors):
        return RestartReason.FAILING
    if any(isinstance(each, InternalError) for each in errors):
        return RestartReason.ERRING
    if len(errors) < count:
        proof.good_answer()
        proof.patience = min(MAX_PATIENCE_SECONDS, max(proof.patience, SLOWER_THAN_PROBE * took))
    elif all(isinstance(each, OverloadedError) for each in errors):
        await asyncio.sleep(proof.patience)
    elif any(isinstance(each, EngineUnavailableError) for each in errors):
        return None  # Triton itself has exited, which is detected elsewhere
    # If this process itself was stopped meanwhile, the silence means nothing.
    hung = proof.answered < began and _now() - began < 2 * proof.patience
    return (
        RestartReason.HUNG
        if hung and any(isinstance(each, DeadlineError | OverloadedError) for each in errors)
        else None
    )


async def first_of(*awaited: Coroutine[Any, Any, T]) -> T:
    """Return the first result (ties: in argument order) and cancel the others."""
    tasks = [asyncio.ensure_future(each) for each in awaited]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(task for task in tasks if task in done).result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _now() -> float:
    return asyncio.get_running_loop().time()
