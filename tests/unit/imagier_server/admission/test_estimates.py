# SPDX-License-Identifier: Apache-2.0
"""Work that cannot be done in time is refused at once; on an idle server nothing is."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest
from imagier_server.admission.admission import Receipt
from imagier_server.admission.estimates import Estimates
from imagier_server.call import Lane
from imagier_server.errors import OverloadedError
from imagier_server.messages import AnnotateRequest, KeywordsRequest, TaskOutcome
from support.calls import call

TAGS = AnnotateRequest(b"x", {"tags": object()})  # type: ignore[dict-item]
PAGE = AnnotateRequest(b"x", {"ocr": object()})  # type: ignore[dict-item]


class Server:
    """Estimates, and a clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.estimates = Estimates(longest=60.0, clock=lambda: self.now)

    async def take(
        self, stack: AsyncExitStack, work: AnnotateRequest, seconds: float = 1000.0, lane: Lane = Lane.INTERACTIVE
    ) -> Receipt:
        receipt = Receipt()
        await stack.enter_async_context(self.estimates.stage(work, call(lane, seconds), receipt))
        return receipt

    async def batch(self, count: int, seconds: float, work: AnnotateRequest = TAGS) -> None:
        """`count` pictures at once, which are answered one after the other: the last one after `seconds`."""
        taken = []
        for _ in range(count):
            stack = AsyncExitStack()
            taken.append((stack, await self.take(stack, work)))
        for stack, receipt in taken:
            self.now += seconds / count
            receipt.outcomes = dict.fromkeys(work.tasks, TaskOutcome((), result=1))
            await stack.aclose()


async def test_nothing_is_refused_before_enough_is_known() -> None:
    server = Server()
    async with AsyncExitStack() as stack:
        for _ in range(5):
            await server.take(stack, TAGS, seconds=0.001)


async def test_the_first_on_an_idle_server_is_never_refused() -> None:
    server = Server()
    await server.batch(20, 8.0)
    async with AsyncExitStack() as stack:
        await server.take(stack, TAGS, seconds=0.01)


async def test_behind_many_what_needs_an_answer_soon_is_refused() -> None:
    server = Server()
    await server.batch(20, 8.0)
    async with AsyncExitStack() as stack:
        for _ in range(20):
            await server.take(stack, TAGS)
        await server.take(stack, TAGS, seconds=8)
        with pytest.raises(OverloadedError) as refused:
            await server.take(stack, TAGS, seconds=2)
        assert refused.value.cause == "TIME_TOO_SHORT"
        assert 2 < (refused.value.retry_after or 0) < 6, "when the queue is that much shorter"
        assert refused.value.used_up is None


async def test_behind_few_the_estimate_is_in_proportion() -> None:
    server = Server()
    await server.batch(20, 8.0)  # 0.4 s each
    async with AsyncExitStack() as stack:
        for _ in range(5):
            await server.take(stack, TAGS)
        await server.take(stack, TAGS, seconds=3.0)
        with pytest.raises(OverloadedError):
            await server.take(stack, TAGS, seconds=1.0)


async def test_kinds_of_work_are_told_apart() -> None:
    server = Server()
    await server.batch(20, 0.2)
    await server.batch(20, 9.0, PAGE)
    async with AsyncExitStack() as stack:
        for _ in range(20):
            await server.take(stack, TAGS)
        await server.take(stack, TAGS, seconds=0.5)
        with pytest.raises(OverloadedError):
            await server.take(stack, PAGE, seconds=0.5)


async def test_one_slow_picture_among_many_does_not_refuse_the_next() -> None:
    server = Server()
    await server.batch(20, 0.1)
    await server.batch(1, 60.0)
    async with AsyncExitStack() as stack:
        await server.take(stack, TAGS)
        await server.take(stack, TAGS, seconds=0.5)


async def test_what_misses_its_deadline_counts_too() -> None:
    server = Server()
    async with AsyncExitStack() as stack:
        for _ in range(20):
            await server.take(stack, TAGS, seconds=5)
        server.now += 5.1  # and none of them has been answered
    async with AsyncExitStack() as stack:
        for _ in range(20):
            await server.take(stack, TAGS, seconds=20)
        with pytest.raises(OverloadedError):
            await server.take(stack, TAGS, seconds=3)


async def test_the_past_is_forgotten() -> None:
    server = Server()
    await server.batch(20, 8.0)
    server.now += 120
    async with AsyncExitStack() as stack:
        await server.take(stack, TAGS)
        await server.take(stack, TAGS, seconds=0.1)


async def test_streams_and_work_without_a_picture_are_not_judged() -> None:
    server = Server()
    await server.batch(20, 8.0)
    async with AsyncExitStack() as stack:
        for _ in range(20):
            await server.take(stack, TAGS)
        await server.take(stack, TAGS, seconds=0.1, lane=Lane.BULK)
        await stack.enter_async_context(server.estimates.stage(KeywordsRequest(("cat",)), call(seconds=0.1), Receipt()))


async def test_a_call_without_a_deadline_has_the_servers() -> None:
    server = Server()
    await server.batch(20, 200.0)
    async with AsyncExitStack() as stack:
        for _ in range(5):
            await server.take(stack, TAGS, seconds=1000)
        server.estimates._ahead = 20
        with pytest.raises(OverloadedError):
            await server.take(stack, TAGS, seconds=1000)


async def test_costs_are_relative_to_what_is_usual() -> None:
    server = Server()
    assert server.estimates.cost(["tags"]) == 1.0, "nothing is known"
    await server.batch(1, 0.1)
    await server.batch(1, 2.0, PAGE)
    tags = [server.estimates.cost(["tags"]) for _ in range(100)][-1]
    assert tags == pytest.approx(1.0)
    assert server.estimates.cost(["ocr"]) > 5
    assert server.estimates.cost(["caption"]) == 1.0
