# SPDX-License-Identifier: Apache-2.0
"""What the answers of a scripted engine prove of its models, and when a model is called dead."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import asynccontextmanager, suppress

import numpy as np
import pytest
from imagier_server.call import CallContext, Lane
from imagier_server.errors import (
    DeadlineError,
    Full,
    ImagierError,
    InternalError,
    ModelFailedError,
    OutOfStepError,
    OverloadedError,
)
from imagier_server.messages import Tensors
from imagier_server.outcomes import RestartReason
from imagier_server.supervision import liveness
from imagier_server.supervision.liveness import Liveness
from imagier_server.warm_up import WarmUp
from support.calls import call

SAMPLE = {"pixels": np.zeros((1, 2, 2, 3), np.uint8)}
DEAD = ModelFailedError("the model is failing on this engine")


async def passed(seconds: float) -> None:
    """Returns when the event loop's clock says so."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.Event().wait()


class Scripted:
    """One engine: `fault` is what a probe raises, `holding` keeps inferences until it is set."""

    def __init__(self) -> None:
        self.fault: ImagierError | None = None
        self.hangs = False
        self.probes: list[str] = []
        self.holding: dict[str, asyncio.Event] = {}

    async def infer(self, model: str, inputs: Tensors, call: CallContext) -> Tensors:
        for name in inputs:
            if name in self.holding:
                await self.holding[name].wait()
        if self.fault:
            raise self.fault
        return {}

    async def probe(self, model: str, inputs: Tensors, seconds: float) -> None:
        assert inputs is SAMPLE
        self.probes.append(model)
        await asyncio.sleep(0)
        if self.hangs:
            await passed(seconds)
            raise DeadlineError
        if self.fault:
            raise self.fault

    async def check(self) -> Mapping[str, bool]:
        return {"tagger": True}

    async def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(liveness, "PROBE_SECONDS", 0.02)
    monkeypatch.setattr(liveness, "PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(liveness, "_TICK_SECONDS", 0.01)


class Bench:
    def __init__(self, sample: Tensors = SAMPLE) -> None:
        self.engine = Scripted()
        self.liveness = Liveness({"tagger": WarmUp(sample, "", 2)})
        self.watched = self.liveness.watched(self.engine)
        self.fault = asyncio.create_task(self.liveness.fault(self.engine))

    async def infer(self, name: str = "pixels", lane: Lane = Lane.INTERACTIVE) -> None:
        await self.watched.infer("tagger", {name: SAMPLE["pixels"]}, call(lane, 5.0))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110 - what it waits for has no event
                await asyncio.sleep(0)

    async def probed(self, more: int) -> None:
        target = len(self.engine.probes) + more
        await self.until(lambda: len(self.engine.probes) >= target)

    async def found(self) -> tuple[str, RestartReason]:
        async with asyncio.timeout(10):
            return await self.fault


@asynccontextmanager
async def bench(sample: Tensors = SAMPLE):
    made = Bench(sample)
    try:
        yield made
    finally:
        made.fault.cancel()
        with suppress(asyncio.CancelledError):
            await made.fault


async def test_a_silent_model_is_probed_again_and_again() -> None:
    async with bench() as b:
        await b.probed(3)
        assert not b.fault.done()


async def test_good_answers_save_the_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "PROBE_SECONDS", 3600.0)
    async with bench() as b:
        for _ in range(50):
            await b.infer()
        assert not b.engine.probes


@pytest.mark.parametrize(("fault", "reason"), [(DEAD, RestartReason.FAILING), (InternalError(), RestartReason.ERRING)])
async def test_a_model_that_has_worked_and_fails_is_dead(fault: ImagierError, reason: RestartReason) -> None:
    async with bench() as b:
        await b.probed(2)
        b.engine.fault = fault
        assert await b.found() == ("tagger", reason)


async def test_a_model_that_has_died_before_its_first_answer_is_dead() -> None:
    async with bench() as b:
        b.engine.fault = DEAD
        assert await b.found() == ("tagger", RestartReason.FAILING)


async def test_an_error_is_looked_into_at_once_and_at_every_instance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "PROBE_SECONDS", 3600.0)
    async with bench() as b:
        await b.infer()
        b.engine.fault = InternalError()
        with pytest.raises(InternalError):
            await b.infer()
        assert await b.found() == ("tagger", RestartReason.ERRING)
        assert len(b.engine.probes) == 4, "two instances, twice"


async def test_a_model_out_of_step_is_asked_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "PROBE_SECONDS", 3600.0)
    async with bench() as b:
        await b.infer()
        b.engine.fault = OutOfStepError("the model is failing on this engine")
        with pytest.raises(OutOfStepError):
            await b.infer()
        assert await b.found() == ("tagger", RestartReason.OUT_OF_STEP)
        assert not b.engine.probes


async def test_a_probe_finds_a_model_out_of_step() -> None:
    async with bench() as b:
        b.engine.fault = OutOfStepError("the model is failing on this engine")
        assert await b.found() == ("tagger", RestartReason.OUT_OF_STEP)


async def test_an_error_of_the_picture_is_not_the_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "PROBE_SECONDS", 3600.0)
    async with bench() as b:
        b.engine.fault = InternalError()
        with pytest.raises(InternalError):
            await b.infer()
        b.engine.fault = None
        await b.probed(2)
        await b.infer()
        assert not b.fault.done()


async def test_a_model_that_never_worked_is_not_ready_and_restarts_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with bench() as b:
        b.engine.fault = InternalError()
        await b.probed(6)
        assert not b.fault.done()
        assert await b.watched.check() == {"tagger": False}
        assert caplog.messages.count("model fails at its own warm-up") == 1
        b.engine.fault = None
        await b.probed(6)
        assert await b.watched.check() == {"tagger": True}


async def test_no_answer_to_anybody_is_a_model_that_hangs() -> None:
    async with bench() as b:
        await b.probed(2)
        b.engine.hangs = True
        assert await b.found() == ("tagger", RestartReason.HUNG)


@pytest.mark.parametrize("fault", [DeadlineError(), OverloadedError("full", Full.QUEUE)])
async def test_busy_is_not_hung(fault: ImagierError) -> None:
    async with bench() as b:
        await b.probed(2)
        probe = b.engine.probe

        async def late(model: str, inputs: Tensors, seconds: float) -> None:
            await b.infer()
            await probe(model, inputs, seconds)
            raise fault

        b.engine.probe = late  # type: ignore[method-assign]
        await b.probed(4)
        assert not b.fault.done()


async def test_one_instance_hangs_while_another_answers() -> None:
    async with bench() as b:
        b.engine.holding["stuck"] = asyncio.Event()
        held = asyncio.create_task(b.infer("stuck"))
        await asyncio.sleep(0)
        await b.infer()
        assert await b.found() == ("tagger", RestartReason.HUNG)
        b.engine.holding["stuck"].set()
        await held


async def test_bulk_that_interactive_calls_overtake_does_not_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench() as b:
        b.engine.holding["bulk"] = asyncio.Event()
        held = asyncio.create_task(b.infer("bulk", Lane.BULK))
        await asyncio.sleep(0)
        for _ in range(3):
            await b.infer()
            await b.probed(4)
        assert not b.fault.done()
        b.engine.holding["bulk"].set()
        await held


async def test_a_slow_model_is_given_the_time_that_it_takes() -> None:
    async with bench() as b:
        proof = b.liveness._proofs["tagger"]
        before = proof.patience
        probe = b.engine.probe

        async def slow(model: str, inputs: Tensors, seconds: float) -> None:
            await passed(before / 2)
            await probe(model, inputs, seconds)

        b.engine.probe = slow  # type: ignore[method-assign]
        await b.until(lambda: proof.patience >= 5 * before)


async def test_a_model_without_a_warm_up_is_not_probed() -> None:
    async with bench({}) as b:
        for _ in range(5):
            await b.infer()
            await passed(liveness.PROBE_SECONDS)
        assert not b.engine.probes
