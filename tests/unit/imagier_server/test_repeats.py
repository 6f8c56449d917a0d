# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from imagier_server.call import TASKS, CallContext, Identity, Lane
from imagier_server.errors import DeadlineError, OverloadedError
from imagier_server.messages import AnnotateRequest, Annotation
from imagier_server.repeats import _MOST_BYTES, _MOST_TRIES, Repeats, operation
from imagier_server.tasks.ocr.values import OcrOptions
from imagier_server.tasks.tags.values import TagsOptions
from imagier_server.timings import Timings
from support.calls import call

REQUEST = AnnotateRequest(b"picture", {"tags": TagsOptions()}, request_id="first")


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as made:
        yield made


def tried(key: str = "try", tenant: str = "library", lane: Lane = Lane.INTERACTIVE) -> CallContext:
    return replace(call(lane), identity=Identity("k1", tenant, frozenset({TASKS})), idempotency_key=key)


async def test_an_operation_is_the_same_question_about_the_same_picture(threads: ThreadPoolExecutor) -> None:
    name = await operation(REQUEST, tried(), threads)
    assert name == await operation(replace(REQUEST, request_id="second"), tried(), threads)
    others = [
        await operation(request, whose, threads)
        for request, whose in (
            (replace(REQUEST, image=b"pictures"), tried()),
            (replace(REQUEST, tasks={"ocr": OcrOptions()}), tried()),
            (replace(REQUEST, tasks={"tags": TagsOptions(max_tags=3)}), tried()),
            (replace(REQUEST, languages=("fr",)), tried()),
            (replace(REQUEST, image=bytes(1 << 19)), tried()),
            (REQUEST, tried("another try")),
            (REQUEST, tried(tenant="archive")),
            (REQUEST, tried(lane=Lane.BULK)),
            (replace(REQUEST, request_id="second"), tried(lane=Lane.BULK)),
        )
    ]
    assert len({name, *others}) == 1 + len(others)


async def test_without_an_idempotency_key_every_call_is_an_operation_of_its_own(threads: ThreadPoolExecutor) -> None:
    assert await operation(REQUEST, tried(""), threads) == ""


class Tries:
    """Calls of one operation, whose work ends when it is told to."""

    def __init__(self) -> None:
        self.repeats = Repeats()
        self.works: list[asyncio.Future[Annotation]] = []
        self.joined = 0

    async def work(self) -> Annotation:
        self.works.append(asyncio.get_running_loop().create_future())
        return await self.works[-1]

    def join(self) -> None:
        self.joined += 1

    async def until(self, works: int) -> None:
        while len(self.works) < works:  # noqa: ASYNC110 - other tasks make it true
            await asyncio.sleep(0)

    async def begin(self, request_id: str, name: str = "name", image: bytes = b"") -> asyncio.Task[Annotation]:
        request = replace(REQUEST, request_id=request_id, image=image)
        made = asyncio.create_task(self.repeats.once(request, name, self.work, self.join))
        await asyncio.sleep(0)
        return made


def answer(request_id: str) -> Annotation:
    return Annotation(request_id, 640, 480, Timings())


async def test_a_retry_waits_for_the_answer_of_the_first_try() -> None:
    tries = Tries()
    first, second = await tries.begin("first"), await tries.begin("second")
    assert (len(tries.works), tries.joined) == (1, 0)
    tries.works[0].set_result(answer("first"))
    assert ((await first).request_id, (await second).request_id) == ("first", "second")
    assert (len(tries.works), tries.joined) == (1, 1)
    third = await tries.begin("third")
    assert len(tries.works) == 2, "nothing is kept once it is answered"
    third.cancel()


async def test_a_retry_works_itself_when_the_first_try_is_given_up_or_fails() -> None:
    tries = Tries()
    first, second, third = [await tries.begin(name) for name in ("first", "second", "third")]
    first.cancel()
    await tries.until(2)
    tries.works[1].set_exception(DeadlineError())
    with pytest.raises(DeadlineError):
        await second
    await tries.until(3)
    tries.works[2].set_result(answer("third"))
    assert (await third).request_id == "third"
    assert first.cancelled()


async def test_tries_that_wait_are_bounded_in_number() -> None:
    tries = Tries()
    first, *waiting = [await tries.begin(str(number)) for number in range(1 + _MOST_TRIES)]
    with pytest.raises(OverloadedError) as refused:
        await (await tries.begin("one too many"))
    assert refused.value.retry_after
    waiting.pop().cancel()
    await asyncio.sleep(0)
    waiting.append(await tries.begin("in the place of one that has left"))
    assert len(tries.works) == 1
    tries.works[0].set_result(answer("first"))
    assert {(await each).width for each in (first, *waiting)} == {640}


async def test_tries_that_wait_are_bounded_in_bytes_whatever_the_operation() -> None:
    tries, large = Tries(), bytes(_MOST_BYTES + 1)
    running = [await tries.begin("first", name) for name in ("a", "b")]
    alone = await tries.begin("a large one alone", "a", large)
    with pytest.raises(OverloadedError):
        await (await tries.begin("beside it", "b", b"p"))
    tries.works[0].set_result(answer("first"))
    await alone
    beside = await tries.begin("now", "b", b"p")
    tries.works[1].set_result(answer("first"))
    await asyncio.gather(beside, *running)
