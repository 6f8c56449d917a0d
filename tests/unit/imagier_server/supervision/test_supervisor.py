# SPDX-License-Identifier: Apache-2.0
"""The restarts of a Triton that is a sleeping process: after which ends, how often, and what is said of them."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from imagier_server.call import CallContext
from imagier_server.embedded import EmbeddedError, EmbeddedTriton, model_processes
from imagier_server.errors import ModelFailedError
from imagier_server.messages import Tensors
from imagier_server.metrics import Metrics
from imagier_server.supervision import liveness, supervisor
from imagier_server.supervision.supervisor import Supervisor, backoff_seconds
from imagier_server.warm_up import WarmUp

WARM_UPS = {"tagger": WarmUp({"pixels": np.zeros((1, 2), np.uint8)}, "quick", 2)}


class Engine:
    fault: ModelFailedError | None = None

    async def infer(self, model: str, inputs: Tensors, call: CallContext) -> Tensors:
        return {}

    async def probe(self, model: str, inputs: Tensors, seconds: float) -> None:
        await asyncio.sleep(0)
        if self.fault:
            raise self.fault

    async def check(self) -> Mapping[str, bool]:
        return {"tagger": True}

    async def close(self) -> None:
        pass


class Bench:
    """`faults` are what the next starts raise."""

    def __init__(self, *, every_shape: bool = False) -> None:
        self.metrics = Metrics()
        self.faults: list[Exception] = []
        self.tritons: list[EmbeddedTriton] = []
        self.configs: list[Mapping[str, str]] = []
        self.engines: list[Engine] = []
        self.used: list[set[str]] = []
        self.log: Any = SimpleNamespace(end=lambda: ["signal (11) received"])
        self.supervisor = Supervisor(self._start, WARM_UPS, self._connect, self.metrics, every_shape=every_shape)

    @asynccontextmanager
    async def _start(self, configs: Mapping[str, str]) -> AsyncIterator[EmbeddedTriton]:
        self.configs.append(configs)
        if self.faults:
            raise self.faults.pop(0)
        process = await asyncio.create_subprocess_exec("sleep", "1000")
        self.tritons.append(EmbeddedTriton(f"unix:{len(self.tritons)}", "", process.pid, process, self.log))
        try:
            yield self.tritons[-1]
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    def _connect(self, address: str) -> Engine:
        self.engines.append(Engine())
        return self.engines[-1]

    def use(self, addresses: Collection[str]) -> None:
        self.used.append(set(addresses))

    def restarts(self, reason: str) -> float:
        return self.metrics.registry.get_sample_value("imagier_engine_restarts_total", {"reason": reason}) or 0.0

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110 - what it waits for has no event
                await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "FIRST_BACKOFF_SECONDS", 0.01)
    monkeypatch.setattr(supervisor, "MAX_BACKOFF_SECONDS", 0.02)
    monkeypatch.setattr(liveness, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(liveness, "PROBE_SECONDS", 0.01)


@pytest.fixture
async def b() -> AsyncIterator[Bench]:
    made = Bench()
    async with made.supervisor.running(made.use):
        yield made
    assert all(each.process.returncode is not None for each in made.tritons)


async def test_one_that_ends_is_started_again_with_the_quick_warm_up(
    b: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    b.tritons[0].process.kill()
    await b.until(lambda: len(b.tritons) == 2 and b.used[-1] == {"unix:1"})
    assert b.used == [{"unix:0"}, set(), {"unix:1"}]
    assert b.configs == [{"tagger": "quick"}] * 2
    assert b.restarts("ended") == 1
    (said,) = (record.fields for record in caplog.records if record.message == "the embedded Triton ended")
    assert said == {"reason": "SIGKILL", "last_words": ["signal (11) received"]}


async def test_every_shape_is_warmed_up_at_the_first_start_if_that_is_wanted() -> None:
    made = Bench(every_shape=True)
    async with made.supervisor.running(made.use):
        made.tritons[0].process.kill()
        await made.until(lambda: len(made.tritons) == 2)
    assert made.configs == [{}, {"tagger": "quick"}]


async def test_one_of_which_a_model_fails_is_ended_and_started_again(b: Bench) -> None:
    (probed,) = b.engines
    await b.until(lambda: b.supervisor._liveness._proofs["tagger"].proven)
    probed.fault = ModelFailedError("the model is failing on this engine")
    await b.until(lambda: len(b.tritons) == 2)
    assert b.tritons[0].process.returncode == -signal.SIGKILL
    assert b.restarts("failing") == 1


async def test_one_that_is_stopped_is_ended_and_started_again(b: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    b.tritons[0].process.send_signal(signal.SIGSTOP)
    await b.until(lambda: len(b.tritons) == 2)
    assert b.restarts("stopped") == 1


async def test_the_end_of_its_processes_is_a_tritons_own_if_it_ends_too(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Bench()
    ends, killed = asyncio.Event(), []

    async def lost(pid: int, processes: Mapping[int, str]) -> model_processes.Loss:
        await ends.wait()
        if not killed:
            killed.append(pid)
            made.tritons[0].process.kill()
            return model_processes.Loss("tagger", model_processes.End.ENDED)
        return await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(model_processes, "lost", lost)
    monkeypatch.setattr(supervisor, "TOGETHER_SECONDS", 20.0)
    async with made.supervisor.running(made.use):
        ends.set()
        await made.until(lambda: len(made.tritons) == 2)
    assert (made.restarts("ended"), made.restarts("process_ended")) == (1, 0)


async def test_a_restart_that_fails_is_tried_again_for_as_long_as_it_takes(
    b: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    b.faults = [
        EmbeddedError("failed to load 'tagger'"),
        OSError("No space left"),
        RuntimeError("the words"),
        EmbeddedError("once more"),
    ]
    b.tritons[0].process.kill()
    await b.until(lambda: len(b.tritons) == 2)
    assert b.used == [{"unix:0"}, set(), {"unix:1"}]
    assert b.restarts("not_started") == 4
    assert caplog.messages.count("the embedded Triton did not start") == 4
    said = [record.fields.get("text", "") for record in caplog.records if hasattr(record, "fields")]
    assert "No space left" in said
    assert "the words" not in said


async def test_a_restart_that_hangs_is_given_up(b: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "RESTART_SECONDS", 0.05)
    sound, hung = b._start, asyncio.Event()

    @asynccontextmanager
    async def start(configs: Mapping[str, str]) -> AsyncIterator[EmbeddedTriton]:
        if not hung.is_set():
            hung.set()
            try:
                await asyncio.Event().wait()
            finally:  # the next one may take as long as a busy machine needs
                monkeypatch.setattr(supervisor, "RESTART_SECONDS", 60.0)
        async with sound(configs) as triton:
            yield triton

    b.supervisor._start = start
    b.tritons[0].process.kill()
    await b.until(lambda: len(b.tritons) == 2)
    assert b.restarts("not_started") == 1


async def test_the_first_start_fails_at_once() -> None:
    made = Bench()
    made.faults = [EmbeddedError("no Triton for this machine")]
    with pytest.raises(EmbeddedError, match="no Triton"):
        async with made.supervisor.running(made.use):
            pass
    assert len(made.configs) == 1


def test_the_pauses_double_and_differ() -> None:
    assert backoff_seconds(0) == 0.0
    first, last = supervisor.FIRST_BACKOFF_SECONDS, supervisor.MAX_BACKOFF_SECONDS
    for in_a_row in range(1, 2000):
        longest = min(last, first * 2.0 ** min(in_a_row - 1, 10))
        assert longest / 2 <= backoff_seconds(in_a_row) <= longest
    assert len({backoff_seconds(3) for _ in range(20)}) > 1
