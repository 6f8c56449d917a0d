# SPDX-License-Identifier: Apache-2.0
"""Both clients, call by call, before a real gRPC server that misbehaves to order. Waits are recorded, not waited for."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2
from imagier_client import (
    Caption,
    DeadlineError,
    ExhaustedError,
    ImageTooLargeError,
    ImagierClientError,
    InvalidImageError,
    Limits,
    Ocr,
    Tags,
    UnavailableError,
    UnreadableFileError,
)
from support.both_clients import NOBODY, Blocking, Kind, refusing
from support.scripted_annotator import (
    BAD_IMAGE,
    NO_ENGINE,
    OVERLOADED,
    Response,
    Scripted,
    serving,
    status,
)


async def test_an_answer_becomes_typed_values(client: Any) -> None:
    annotation = await client.annotate(b"12345", Tags(), Ocr(), Caption(), languages=("fr", "en"), request_id="mine")
    assert (annotation.width, annotation.height, annotation.cost, annotation.request_id) == (5, 7, 2, "mine")
    (tag,) = annotation.tags.tags
    assert (tag.name, list(tag.names), tag.origin) == ("mau égyptien", ["fr", "en"], "machine")
    assert annotation.ocr.lines[0].polygon[2].x == pytest.approx(90)
    assert annotation.ocr.ok
    assert (annotation.caption.captions[0].text, annotation.caption.title) == ("A brown cat.", "Brown cat")
    assert annotation.caption.models[0].research_only


async def test_only_what_is_asked_for_is_asked_for(client: Any, script: Scripted) -> None:
    annotation = await client.annotate(b"12345", Tags(max_tags=3, deny=("cat",)))
    assert annotation.ocr is annotation.caption is None
    (request,) = script.requests
    assert not request.HasField("ocr")
    assert not request.HasField("caption")
    assert (request.tags.max_tags, list(request.tags.deny), request.tags.HasField("min_score")) == (3, ["cat"], False)


async def test_a_path_is_read(client: Any, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"123")
    assert (await client.annotate(tmp_path / "a.jpg", Tags())).width == 3


async def test_what_cannot_be_read_is_said_and_not_sent(client: Any, script: Scripted, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    for name in ("missing.jpg", "pipe.jpg", "."):
        with pytest.raises(UnreadableFileError) as caught:
            await client.annotate(tmp_path / name, Tags())
        assert str(tmp_path) not in str(caught.value)
    assert script.requests == []


async def test_too_large_a_picture_is_not_sent(client: Any, script: Scripted, tmp_path: Path) -> None:
    (tmp_path / "large.jpg").write_bytes(bytes(1001))
    for image in (bytes(1001), tmp_path / "large.jpg"):
        with pytest.raises(ImageTooLargeError) as caught:
            await client.annotate(image, Tags())
        assert (caught.value.reason, caught.value.field, caught.value.retryable) == ("IMAGE_TOO_LARGE", "image", False)
    await client.annotate(bytes(1000), Tags())
    assert (len(script.requests), script.catalogs) == (1, 1)


async def test_the_server_is_asked_again_when_it_said_so(client: Any, script: Scripted) -> None:
    script.annotate = refusing(OVERLOADED, NO_ENGINE)
    assert (await client.annotate(b"1", Tags())).width == 1
    assert client.waits[0] == pytest.approx(3.15, abs=0.16)
    assert client.waits[1] == pytest.approx(2.1, abs=0.11)


async def test_pushback_is_honoured_before_retry_info(client: Any, script: Scripted) -> None:
    script.annotate = refusing(OVERLOADED, pushback="500")
    await client.annotate(b"1", Tags())
    assert client.waits == [pytest.approx(0.525, abs=0.026)]


async def test_a_negative_pushback_forbids(client: Any, script: Scripted) -> None:
    script.annotate = refusing(OVERLOADED, pushback="-1")
    with pytest.raises(ExhaustedError) as caught:
        await client.annotate(b"1", Tags())
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
        await client.annotate(b"1", Tags())
    assert not caught.value.retryable
    assert (client.waits, len(script.requests)) == ([], 1)


async def test_nobody_listens(kind: Kind) -> None:
    async with kind(NOBODY) as client:
        with pytest.raises(UnavailableError) as caught:
            await client.annotate(b"1", Tags())
        assert caught.value.retryable
        assert len(client.waits) == 4


async def test_no_wait_goes_past_the_deadline(client: Any, script: Scripted) -> None:
    script.annotate = refusing(OVERLOADED)
    with pytest.raises(ExhaustedError):
        await client.annotate(b"1", Tags(), timeout=1.0)
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
        await client.annotate(b"1", Tags(), timeout=0.2)
    await asyncio.wait_for(gone.wait(), 10)


async def test_no_deadline_waits_for_another_calls_catalogue(client: Any, script: Scripted) -> None:
    script.hold_catalog = asyncio.Event()
    patient = asyncio.ensure_future(client.annotate(b"1", Tags(), timeout=60))
    async with asyncio.timeout(20):
        while not script.catalogs:  # noqa: ASYNC110 - the script counts, it does not tell
            await asyncio.sleep(0)
        with pytest.raises(DeadlineError):
            await client.annotate(b"1", Tags(), timeout=0.2)
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


async def test_one_client_serves_many_callers(client: Any, script: Scripted) -> None:
    widths = await asyncio.gather(*(client.annotate(bytes(n), Tags()) for n in range(1, 33)))
    assert [annotation.width for annotation in widths] == list(range(1, 33))
    assert script.catalogs == 1


async def test_a_call_that_met_a_stopping_server_is_made_again(client: Any, script: Scripted) -> None:
    script.annotate = refusing(status(grpc.StatusCode.CANCELLED))
    assert (await client.annotate(b"1", Tags())).width == 1
    assert len(client.waits) == 1


async def test_several_servers_take_turns_and_one_does_without_the_other(kind: Kind) -> None:
    first, second = Scripted(), Scripted()
    async with serving(second) as other:
        async with serving(first) as one, kind(f"{one},{other}") as client:
            while not (first.requests and second.requests):  # connected to both
                await client.annotate(b"1", Tags())
            first.requests.clear()
            second.requests.clear()
            for _ in range(4):
                await client.annotate(b"1", Tags())
            assert (len(first.requests), len(second.requests)) == (2, 2)
        async with kind(f"{one},{other}") as client:
            assert (await client.annotate(b"1", Tags())).width == 1
            answers = await client.many([(number, b"1") for number in range(5)], Tags())
            assert len(answers) == 5
    assert len(second.requests) == 8
