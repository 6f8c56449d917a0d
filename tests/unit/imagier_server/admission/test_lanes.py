# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
import math

import numpy as np
import pytest
from imagier_server.admission.lanes import BulkBound, Lanes
from imagier_server.admission.pace import BusyRate
from imagier_server.call import CallContext, Lane
from imagier_server.errors import DeadlineError, EngineUnavailableError, Full, OverloadedError
from imagier_server.messages import Tensors
from imagier_server.metrics import Metrics
from prometheus_client import CollectorRegistry
from support.calls import call

ROW = {"pixels": np.zeros((1, 2), np.uint8)}
ROWS = {"pixels": np.zeros((8, 2), np.uint8)}


def served(bound: BulkBound, began: float, seconds: float, rows: int = 1, lane: Lane = Lane.BULK) -> float:
    """One inference with nothing beside it; answers when it ended."""
    bound.begin(rows, lane, began)
    bound.end(rows, seconds, began + seconds)
    return began + seconds


def test_there_is_no_bound_until_an_interactive_inference_comes() -> None:
    bound = BulkBound(ahead=3)
    now = served(bound, 0, 0.01)
    assert bound.rows(now) == math.inf
    now = served(bound, now, 0.01, lane=Lane.INTERACTIVE)
    assert bound.rows(now) == pytest.approx(3, rel=0.01)


def test_the_bound_ends_some_time_after_the_last_interactive_inference() -> None:
    bound = BulkBound(ahead=3)
    now = served(bound, 0, 0.01, lane=Lane.INTERACTIVE)
    assert bound.rows(now + 9) < math.inf
    assert bound.rows(now + 11) == math.inf


@pytest.mark.parametrize(("together", "rows"), [(1, 3), (16, 48)])
def test_a_device_that_runs_many_rows_at_once_is_given_many(together: int, rows: int) -> None:
    bound = BulkBound(ahead=3)
    now = served(bound, 0, 0.01, lane=Lane.INTERACTIVE)
    for _ in range(5000):  # seconds of batches that take no longer than a single row
        now = served(bound, now, 0.01, together)
    bound.begin(1, Lane.INTERACTIVE, now)
    assert bound.rows(now) == pytest.approx(rows, rel=0.01)


def test_an_idle_model_is_not_taken_for_a_slow_one() -> None:
    bound = BulkBound(ahead=3)
    now = served(bound, 0, 0.01, lane=Lane.INTERACTIVE)
    now = served(bound, now + 1000, 0.01, lane=Lane.INTERACTIVE)
    assert bound.rows(now) == pytest.approx(3, rel=0.01)


def test_a_machine_that_becomes_slower_is_believed_within_a_minute() -> None:
    bound = BulkBound(ahead=3)
    now = served(bound, 0, 0.01, lane=Lane.INTERACTIVE)
    while now < 90:
        now = served(bound, now, 0.1, lane=Lane.INTERACTIVE)
    assert bound.rows(now) == pytest.approx(3, rel=0.01)


def test_failures_say_nothing_of_the_speed() -> None:
    bound = BulkBound(ahead=3)
    now = served(bound, 0, 0.01, lane=Lane.INTERACTIVE)
    for _ in range(10):
        bound.begin(1, Lane.BULK, now)
        bound.end(1, None, now)
    assert bound.rows(now) == pytest.approx(3, rel=0.01)


def test_zero_is_no_bound() -> None:
    bound = BulkBound(ahead=0)
    assert bound.rows(served(bound, 0, 0.01, lane=Lane.INTERACTIVE)) == math.inf


class Held:
    """An engine whose inferences end when the test says so."""

    def __init__(self) -> None:
        self.began: list[tuple[str, Lane, float]] = []
        self.running: list[asyncio.Future[Tensors]] = []
        self.called = asyncio.Event()

    async def infer(self, model: str, inputs: Tensors, call: CallContext) -> Tensors:
        self.began.append((model, call.lane, call.seconds_left))
        self.running.append(asyncio.get_running_loop().create_future())
        self.called.set()
        return await self.running[-1]


class Scene:
    """Lanes before a held engine, after one interactive inference of the model "tagger": the bound is one row or so."""

    def __init__(self, ahead: float = 1.0) -> None:
        self.engine = Held()
        self.metrics = Metrics()
        self.lanes = Lanes(self.engine, ahead, self.metrics)

    def start(
        self, lane: Lane = Lane.BULK, inputs: Tensors = ROW, model: str = "tagger", seconds: float = 60.0
    ) -> asyncio.Task[Tensors]:
        return asyncio.create_task(self.lanes.infer(model, inputs, call(lane, seconds)))

    async def sent(self, count: int) -> None:
        """Waits until so many inferences have reached the engine, and nothing else happens at once."""
        async with asyncio.timeout(10):
            while len(self.engine.began) < count:
                self.engine.called.clear()
                await self.engine.called.wait()
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(self.engine.began) == count

    async def visitor(self) -> None:
        call = self.start(Lane.INTERACTIVE)
        await self.sent(len(self.engine.began) + 1)
        self.engine.running[-1].set_result({})
        await call

    @property
    def waiting(self) -> float:
        registry: CollectorRegistry = self.metrics.registry
        return registry.get_sample_value("imagier_bulk_waiting_inferences", {"model": "tagger"}) or 0.0


async def test_bulk_inferences_wait_for_each_other_and_interactive_ones_for_none() -> None:
    scene = Scene()
    await scene.visitor()
    bulk = [scene.start() for _ in range(3)]
    await scene.sent(2)
    assert scene.waiting == 2
    scene.start(Lane.INTERACTIVE)
    await scene.sent(3)
    scene.engine.running[1].set_result({})
    await bulk[0]
    await scene.sent(4)
    assert scene.waiting == 1
    assert [lane for _, lane, _ in scene.engine.began] == [
        Lane.INTERACTIVE,
        Lane.BULK,
        Lane.INTERACTIVE,
        Lane.BULK,
    ]


async def test_without_interactive_inferences_nothing_waits() -> None:
    scene = Scene()
    for _ in range(50):
        scene.start()
    await scene.sent(50)


async def test_another_model_is_not_held_back() -> None:
    scene = Scene()
    await scene.visitor()
    for _ in range(5):
        scene.start(model="captioner")
    await scene.sent(6)


async def test_one_bulk_inference_always_goes_however_many_rows_it_has() -> None:
    scene = Scene()
    await scene.visitor()
    scene.start(inputs=ROWS)
    scene.start(inputs=ROWS)
    await scene.sent(2)


async def test_one_that_fails_or_is_cancelled_lets_the_next_go() -> None:
    scene = Scene()
    await scene.visitor()
    first, second, third, fourth = (scene.start() for _ in range(4))
    await scene.sent(2)
    scene.engine.running[-1].set_exception(EngineUnavailableError("away"))
    with pytest.raises(EngineUnavailableError):
        await first
    await scene.sent(3)
    third.cancel()  # it waits
    second.cancel()  # it runs
    await asyncio.wait({second, third})
    await scene.sent(4)
    scene.engine.running[-1].set_result({})
    await fourth
    assert scene.waiting == 0


async def test_one_that_is_cancelled_as_its_turn_comes_passes_it_on() -> None:
    scene = Scene()
    await scene.visitor()
    first, second, _third = (scene.start() for _ in range(3))
    await scene.sent(2)
    # Called after `first` has handed on its turn, and before `second` takes it.
    scene.engine.running[-1].add_done_callback(lambda _: second.cancel())
    scene.engine.running[-1].set_result({})
    await asyncio.wait({first, second})
    await scene.sent(3)


async def test_waiting_counts_against_the_deadline() -> None:
    scene = Scene()
    await scene.visitor()
    scene.start()
    late = scene.start(seconds=0.0)
    await scene.sent(2)
    scene.engine.running[-1].set_result({})
    with pytest.raises(DeadlineError):
        await late


async def test_a_full_queue_tells_when_it_will_be_empty() -> None:
    scene = Scene()
    await scene.visitor()
    bound = scene.lanes._models["tagger"].bound
    # Forty rows are in flight on a model that has just run four in a second.
    began = asyncio.get_running_loop().time()
    bound._rate = BusyRate()
    bound._rate.begin(44, began - 1)
    bound._rate.end(4, began)
    refused = scene.start(Lane.INTERACTIVE)
    await scene.sent(2)
    scene.engine.running[-1].set_exception(OverloadedError("the queue is full", Full.QUEUE))
    with pytest.raises(OverloadedError) as error:
        await refused
    assert 9 < (error.value.retry_after or 0) <= 30


def test_seconds_until_what_is_in_flight_has_ended() -> None:
    bound = BulkBound(ahead=3)
    assert bound.seconds(0.0) is None
    now = served(bound, 0, 0.5)
    bound.begin(8, Lane.BULK, now)
    assert bound.seconds(now) == pytest.approx(4.0)
