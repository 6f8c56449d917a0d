# SPDX-License-Identifier: Apache-2.0
"""Both clients before a real gRPC server that misbehaves to order. Waits are recorded, not waited for."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Self

import grpc
import pytest
from grpc_health.v1 import health_pb2
from imagier_client import (
    Annotation,
    AsyncClient,
    Client,
    DeadlineError,
    ExhaustedError,
    ImageTooLargeError,
    ImagierClientError,
    InvalidImageError,
    Limits,
    RetryPolicy,
    TagsOptions,
    UnavailableError,
    UnreadableFileError,
)
from scripted_annotator import (
    BAD_IMAGE,
    BROKEN,
    NO_ENGINE,
    OVERLOADED,
    Requests,
    Response,
    Scripted,
    StreamResponse,
    answer,
    refuse,
    reply,
    serving,
    status,
)

NOBODY = "127.0.0.1:1"
DRAINING = status(grpc.StatusCode.UNAVAILABLE, "DRAINING", retry_after=60.0)


class Blocking:
    """The blocking client in the shape of the other one, so that each test is asked of both."""

    def __init__(self, target: str, **options: Any) -> None:
        self.client = Client(target, **options)
        self.waits: list[float] = []
        self.client._sleep = self.waits.append

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.client.close()

    async def many(self, images: Iterable[Any], **options: Any) -> list[Any]:
        return await asyncio.to_thread(lambda: list(self.client.annotate_many(images, **options)))

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        return lambda *args, **options: asyncio.to_thread(getattr(self.client, name), *args, **options)


class Asynchronous(AsyncClient):
    """The asyncio client, with its waits recorded."""

    def __init__(self, target: str, **options: Any) -> None:
        super().__init__(target, **options)
        self.waits: list[float] = []

        async def wait(seconds: float) -> None:
            self.waits.append(seconds)

        self._sleep = wait

    async def many(self, images: Iterable[Any], **options: Any) -> list[Any]:
        return [item async for item in self.annotate_many(images, **options)]


Kind = type[Blocking] | type[Asynchronous]


@pytest.fixture(params=[Asynchronous, Blocking], ids=["async", "blocking"])
def kind(request: pytest.FixtureRequest) -> Kind:
    return request.param


@pytest.fixture
def script() -> Scripted:
    return Scripted()


@pytest.fixture
async def target(script: Scripted) -> AsyncIterator[str]:
    async with serving(script) as address:
        yield address


@pytest.fixture
async def client(kind: Kind, target: str) -> AsyncIterator[Any]:
    async with kind(target) as made:
        yield made


def refusing(*refusals: Any, pushback: str | None = None) -> Callable[[Any, Any], Awaitable[Response]]:
    """Refuses one call after the other, then answers."""
    left = list(refusals)

    async def annotate(request: Any, context: Any) -> Response:
        if left:
            await refuse(context, left.pop(0), pushback)
        return reply(request)

    return annotate


async def test_an_answer_becomes_typed_values(client: Any) -> None:
    annotation = await client.annotate(
        b"12345", tags=True, text=True, caption=True, languages=("fr", "en"), request_id="mine"
    )
    assert (annotation.width, annotation.height, annotation.cost, annotation.request_id) == (5, 7, 2, "mine")
    (tag,) = annotation.tags.tags
    assert (tag.name, list(tag.names), tag.origin) == ("mau égyptien", ["fr", "en"], "machine")
    assert annotation.text.lines[0].polygon[2].x == pytest.approx(90)
    assert annotation.text.ok
    assert (annotation.caption.captions[0].text, annotation.caption.title) == ("A brown cat.", "Brown cat")
    assert annotation.caption.models[0].research_only


async def test_only_what_is_asked_for_is_asked_for(client: Any, script: Scripted) -> None:
    annotation = await client.annotate(b"12345", tags=TagsOptions(max_tags=3, deny=("cat",)))
    assert annotation.text is annotation.caption is None
    (request,) = script.requests
    assert not request.HasField("text")
    assert not request.HasField("caption")
    assert (request.tags.max_tags, list(request.tags.deny), request.tags.HasField("min_score")) == (3, ["cat"], False)


async def test_a_path_is_read(client: Any, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"123")
    assert (await client.annotate(tmp_path / "a.jpg", tags=True)).width == 3


async def test_what_cannot_be_read_is_said_and_not_sent(client: Any, script: Scripted, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    for name in ("missing.jpg", "pipe.jpg", "."):
        with pytest.raises(UnreadableFileError) as caught:
            await client.annotate(tmp_path / name, tags=True)
        assert str(tmp_path) not in str(caught.value)
    assert script.requests == []


async def test_too_large_a_picture_is_not_sent(client: Any, script: Scripted, tmp_path: Path) -> None:
    (tmp_path / "large.jpg").write_bytes(bytes(1001))
    for image in (bytes(1001), tmp_path / "large.jpg"):
        with pytest.raises(ImageTooLargeError) as caught:
            await client.annotate(image, tags=True)
        assert (caught.value.reason, caught.value.field, caught.value.retryable) == ("IMAGE_TOO_LARGE", "image", False)
    await client.annotate(bytes(1000), tags=True)
    assert (len(script.requests), script.catalogs) == (1, 1)


async def test_the_server_is_asked_again_when_it_said_so(client: Any, script: Scripted) -> None:
    script.annotate = refusing(OVERLOADED, NO_ENGINE)
    assert (await client.annotate(b"1", tags=True)).width == 1
    assert client.waits[0] == pytest.approx(3.15, abs=0.16)
    assert client.waits[1] == pytest.approx(2.1, abs=0.11)


async def test_pushback_is_honoured_before_retry_info(client: Any, script: Scripted) -> None:
    script.annotate = refusing(OVERLOADED, pushback="500")
    await client.annotate(b"1", tags=True)
    assert client.waits == [pytest.approx(0.525, abs=0.026)]


async def test_a_negative_pushback_forbids(client: Any, script: Scripted) -> None:
    script.annotate = refusing(OVERLOADED, pushback="-1")
    with pytest.raises(ExhaustedError) as caught:
        await client.annotate(b"1", tags=True)
    assert not caught.value.retryable
    assert (client.waits, len(script.requests)) == ([], 1)


@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        (status(grpc.StatusCode.RESOURCE_EXHAUSTED, "SOME_CAP"), ExhaustedError),
        (status(grpc.StatusCode.RESOURCE_EXHAUSTED), ExhaustedError),
        (status(grpc.StatusCode.UNAVAILABLE, "GONE_FOR_GOOD"), UnavailableError),
        (BAD_IMAGE, InvalidImageError),
        (status(grpc.StatusCode.INVALID_ARGUMENT, "IMAGE_TOO_LARGE", field="image"), ImageTooLargeError),
        (status(grpc.StatusCode.INTERNAL, "INTERNAL"), ImagierClientError),
        (status(grpc.StatusCode.ABORTED, "ODD", retry_after=1.0), ImagierClientError),
    ],
)
async def test_what_is_permanent_is_not_tried_again(
    client: Any, script: Scripted, refusal: Any, error: type[Exception]
) -> None:
    script.annotate = refusing(refusal)
    with pytest.raises(error) as caught:
        await client.annotate(b"1", tags=True)
    assert not caught.value.retryable
    assert (client.waits, len(script.requests)) == ([], 1)


async def test_nobody_listens(kind: Kind) -> None:
    async with kind(NOBODY) as client:
        with pytest.raises(UnavailableError) as caught:
            await client.annotate(b"1", tags=True)
        assert caught.value.retryable
        assert len(client.waits) == 4


async def test_no_wait_goes_past_the_deadline(client: Any, script: Scripted) -> None:
    script.annotate = refusing(OVERLOADED)
    with pytest.raises(ExhaustedError):
        await client.annotate(b"1", tags=True, timeout=1.0)
    assert client.waits == []


async def test_a_deadline_is_the_servers_too(client: Any, script: Scripted) -> None:
    gone = asyncio.Event()

    async def hang(_request: Any, _context: Any) -> Response:
        try:
            await asyncio.Event().wait()
        finally:
            gone.set()
        raise AssertionError

    script.annotate = hang
    with pytest.raises(DeadlineError):
        await client.annotate(b"1", tags=True, timeout=0.2)
    await asyncio.wait_for(gone.wait(), 10)


async def test_no_deadline_waits_for_another_calls_catalogue(client: Any, script: Scripted) -> None:
    script.hold_catalog = asyncio.Event()
    patient = asyncio.ensure_future(client.annotate(b"1", tags=True, timeout=60))
    async with asyncio.timeout(20):
        while not script.catalogs:  # noqa: ASYNC110 - the script counts, it does not tell
            await asyncio.sleep(0)
        with pytest.raises(DeadlineError):
            await client.annotate(b"1", tags=True, timeout=0.2)
        script.hold_catalog.set()
        await patient
    assert script.catalogs == 1


async def test_the_catalogue(client: Any) -> None:
    catalog = await client.catalog()
    assert catalog.limits == Limits(1000, 0, 0, 0, 0)
    (option,) = catalog.tasks[0].options
    assert (option.minimum, option.maximum) == (1, None)
    assert catalog.models[0].ready


async def test_waiting_until_the_server_is_ready(client: Any, script: Scripted) -> None:
    await script.health.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
    loop = asyncio.get_running_loop()

    class Waits(list[float]):
        def append(self, seconds: float) -> None:
            super().append(seconds)
            if len(self) == 3:
                serving_now = script.health.set("", health_pb2.HealthCheckResponse.SERVING)
                asyncio.run_coroutine_threadsafe(serving_now, loop)

    client.waits = Waits()
    if isinstance(client, Blocking):
        client.client._sleep = client.waits.append
    await client.wait_ready()
    assert len(client.waits) >= 3


async def test_not_ready_in_time(client: Any, script: Scripted) -> None:
    await script.health.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
    with pytest.raises(ImagierClientError):
        await client.wait_ready(timeout=0.05)


# Many pictures


async def test_many_pictures_keep_their_keys_which_stay_here(client: Any, script: Scripted) -> None:
    async def backwards(requests: Requests, _context: Any) -> AsyncIterator[StreamResponse]:
        held = []
        async for item in requests:
            held.append(item.request)
            if len(held) == 4:
                for request in reversed(held):
                    yield answer(request)
                held.clear()

    script.stream = backwards
    keys = [("holiday", number) for number in range(8)]
    answers = await client.many(
        [(key, bytes(key[1] + 1)) for key in keys], tags=True, text=True, caption=True, languages=("fr",), in_flight=4
    )
    assert {key: outcome.width for key, outcome in answers} == {key: key[1] + 1 for key in keys}
    assert [key[1] for key, _ in answers][:4] == [3, 2, 1, 0]
    assert all(outcome.request_id == "" and outcome.tags.tags[0].name == "mau égyptien" for _, outcome in answers)
    assert {outcome.caption.title for _, outcome in answers} == {"Brown cat"}
    assert not any("holiday" in request.request_id for request in script.requests)
    assert script.streams == 1


async def test_no_picture_no_stream(client: Any, script: Scripted) -> None:
    assert await client.many([], tags=True) == []
    assert script.streams == 0


async def test_a_failed_picture_is_its_own_answer(client: Any, script: Scripted, tmp_path: Path) -> None:
    async def choosy(requests: Requests, _context: Any) -> AsyncIterator[StreamResponse]:
        async for item in requests:
            yield answer(item.request, BAD_IMAGE if item.request.image == b"bad" else None)

    script.stream = choosy
    os.mkfifo(tmp_path / "pipe")
    images = [("a", b"good"), ("b", b"bad"), ("c", tmp_path / "pipe"), ("d", bytes(2000)), ("e", b"good")]
    answers = dict(await client.many(images, tags=True))
    assert {key: type(outcome) for key, outcome in answers.items()} == {
        "a": Annotation,
        "b": InvalidImageError,
        "c": UnreadableFileError,
        "d": ImageTooLargeError,
        "e": Annotation,
    }
    assert answers["b"].field == "image"


async def test_the_same_key_twice_is_two_pictures(client: Any) -> None:
    answers = await client.many([("a", b"1"), ("a", b"22")], tags=True)
    assert sorted(outcome.width for _, outcome in answers) == [1, 2]


async def test_what_a_broken_stream_left_is_sent_again(client: Any, script: Scripted) -> None:
    async def fragile(requests: Requests, context: Any) -> AsyncIterator[StreamResponse]:
        answered = 0
        async for item in requests:
            if answered == 3 and script.streams < 4:
                await refuse(context, BROKEN)
            answered += 1
            yield answer(item.request)

    script.stream = fragile
    answers = await client.many([(number, bytes(number)) for number in range(20)], tags=True, in_flight=5)
    assert sorted(key for key, _ in answers) == list(range(20))
    assert all(outcome.width == key for key, outcome in answers)
    assert script.streams == 4
    assert len(client.waits) == 3


async def test_a_stream_that_ends_too_early_is_opened_again(client: Any, script: Scripted) -> None:
    async def brief(requests: Requests, _context: Any) -> AsyncIterator[StreamResponse]:
        async for item in requests:
            yield answer(item.request)
            if script.streams < 3:
                return

    script.stream = brief
    answers = await client.many([(number, b"1") for number in range(6)], tags=True, in_flight=2)
    assert sorted(key for key, _ in answers) == list(range(6))
    assert script.streams == 3


async def test_a_stream_that_never_answers_is_given_up(client: Any, script: Scripted) -> None:
    async def down(requests: Requests, context: Any) -> AsyncIterator[StreamResponse]:
        await refuse(context, NO_ENGINE)
        yield StreamResponse()

    script.stream = down
    with pytest.raises(UnavailableError) as caught:
        await client.many([(number, b"1") for number in range(6)], tags=True)
    assert caught.value.reason == "ENGINE_UNAVAILABLE"
    assert script.streams == RetryPolicy().max_attempts


async def test_a_stream_refused_for_good_is_given_up_at_once(client: Any, script: Scripted) -> None:
    async def no(requests: Requests, context: Any) -> AsyncIterator[StreamResponse]:
        await refuse(context, status(grpc.StatusCode.UNIMPLEMENTED))
        yield StreamResponse()

    script.stream = no
    with pytest.raises(ImagierClientError) as caught:
        await client.many([("a", b"1")], tags=True)
    assert (caught.value.code, script.streams) == ("UNIMPLEMENTED", 1)


async def test_a_picture_that_may_succeed_later_is_sent_again(client: Any, script: Scripted) -> None:
    async def starting(requests: Requests, _context: Any) -> AsyncIterator[StreamResponse]:
        seen: set[str] = set()
        async for item in requests:
            first = item.request.request_id not in seen
            seen.add(item.request.request_id)
            yield answer(item.request, NO_ENGINE if first else None)

    script.stream = starting
    answers = await client.many([(number, b"1") for number in range(5)], tags=True)
    assert all(isinstance(outcome, Annotation) for _, outcome in answers)
    assert len(answers) == 5
    assert max(client.waits) >= 2
    assert script.streams == 1


async def test_a_picture_is_not_sent_again_for_ever(client: Any, script: Scripted) -> None:
    async def down(requests: Requests, _context: Any) -> AsyncIterator[StreamResponse]:
        async for item in requests:
            yield answer(item.request, NO_ENGINE)

    script.stream = down
    ((_, outcome),) = await client.many([("a", b"1")], tags=True)
    assert isinstance(outcome, UnavailableError)
    assert len(script.requests) == RetryPolicy().max_attempts


async def test_no_more_are_taken_than_may_be_in_flight(client: Any) -> None:
    taken = answered = 0
    ahead: list[int] = []

    def images() -> Iterator[tuple[int, bytes]]:
        nonlocal taken
        for number in range(50):
            taken += 1
            ahead.append(taken - answered)
            yield number, b"1"

    if isinstance(client, Blocking):

        def read_slowly() -> None:
            nonlocal answered
            for _ in client.client.annotate_many(images(), tags=True, in_flight=3):
                answered += 1

        await asyncio.to_thread(read_slowly)
    else:
        async for _ in client.annotate_many(images(), tags=True, in_flight=3):
            answered += 1
    assert answered == 50
    # The window, and the one whose answer is being handed over.
    assert max(ahead) <= 4


async def test_answers_do_not_wait_for_a_slow_source(target: str) -> None:
    answered = asyncio.Event()

    async def images() -> AsyncIterator[tuple[int, bytes]]:
        yield 1, b"1"
        await asyncio.wait_for(answered.wait(), 10)
        yield 2, b"2"

    keys = []
    async with AsyncClient(target) as client:
        async for key, _ in client.annotate_many(images(), tags=True):
            keys.append(key)
            answered.set()
    assert keys == [1, 2]


async def test_a_server_that_hangs_does_not_hold_the_stream(client: Any, script: Scripted) -> None:
    gone = asyncio.Event()

    async def hang(requests: Requests, _context: Any) -> AsyncIterator[StreamResponse]:
        try:
            async for _ in requests:
                pass
            await asyncio.Event().wait()
        finally:
            gone.set()
        yield StreamResponse()

    script.stream = hang
    with pytest.raises(DeadlineError):
        await client.many([("a", b"1")], tags=True, timeout=0.2)
    await asyncio.wait_for(gone.wait(), 10)


async def test_who_stops_reading_ends_the_stream(kind: Kind, target: str, script: Scripted) -> None:
    gone = asyncio.Event()

    async def watched(requests: Requests, _context: Any) -> AsyncIterator[StreamResponse]:
        try:
            async for item in requests:
                yield answer(item.request)
        finally:
            gone.set()

    script.stream = watched
    endless = ((number, b"1") for number in range(10**9))
    if kind is Blocking:

        def read_one() -> None:
            with Client(target) as client:
                answers = client.annotate_many(endless, tags=True)
                next(answers)
                answers.close()

        await asyncio.to_thread(read_one)
    else:
        async with AsyncClient(target) as client:
            answers = client.annotate_many(endless, tags=True)
            await anext(answers)
            await answers.aclose()
    await asyncio.wait_for(gone.wait(), 10)


async def test_an_error_of_the_callers_own_source_comes_through(client: Any) -> None:
    def images() -> Iterator[tuple[int, bytes]]:
        yield 1, b"1"
        raise LookupError

    with pytest.raises(LookupError):
        await client.many(images(), tags=True)


async def test_large_pictures_flow_both_ways(client: Any, script: Scripted) -> None:
    script.image_bytes = 2**24
    answers = await client.many([(number, bytes(5 * 2**20 + number)) for number in range(6)], text=True, in_flight=3)
    assert sorted(outcome.width - 5 * 2**20 for _, outcome in answers) == list(range(6))


async def test_one_client_serves_many_callers(client: Any, script: Scripted) -> None:
    widths = await asyncio.gather(*(client.annotate(bytes(n), tags=True) for n in range(1, 33)))
    assert [annotation.width for annotation in widths] == list(range(1, 33))
    assert script.catalogs == 1


async def test_a_call_that_met_a_stopping_server_is_made_again(client: Any, script: Scripted) -> None:
    script.annotate = refusing(status(grpc.StatusCode.CANCELLED))
    assert (await client.annotate(b"1", tags=True)).width == 1
    assert len(client.waits) == 1


async def test_a_server_that_shuts_down_is_left_at_once(client: Any, script: Scripted) -> None:
    async def draining(requests: Requests, context: Any) -> AsyncIterator[StreamResponse]:
        answered = 0
        async for item in requests:
            if answered == 2 and script.streams == 1:
                await refuse(context, DRAINING)
            answered += 1
            yield answer(item.request)

    script.annotate, script.stream = refusing(DRAINING), draining
    assert (await client.annotate(b"1", tags=True)).width == 1
    answers = await client.many([(number, bytes(number)) for number in range(6)], tags=True, in_flight=3)
    assert sorted((key, outcome.width) for key, outcome in answers) == [(number, number) for number in range(6)]
    assert script.streams == 2
    assert len(client.waits) == 2
    assert max(client.waits) <= 0.2


async def test_several_servers_take_turns_and_one_does_without_the_other(kind: Kind) -> None:
    first, second = Scripted(), Scripted()
    async with serving(second) as other:
        async with serving(first) as one, kind(f"{one},{other}") as client:
            while not (first.requests and second.requests):  # connected to both
                await client.annotate(b"1", tags=True)
            first.requests.clear()
            second.requests.clear()
            for _ in range(4):
                await client.annotate(b"1", tags=True)
            assert (len(first.requests), len(second.requests)) == (2, 2)
        async with kind(f"{one},{other}") as client:
            assert (await client.annotate(b"1", tags=True)).width == 1
            answers = await client.many([(number, b"1") for number in range(5)], tags=True)
            assert len(answers) == 5
    assert len(second.requests) == 8
