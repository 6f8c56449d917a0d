# SPDX-License-Identifier: Apache-2.0
"""What /metrics says after each kind of event: exactly these series have moved, and no others."""

from __future__ import annotations

import asyncio
import platform
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from fake_triton import FakeTriton, never, refusing, serving
from imagier.v1 import annotator_pb2, keywords_pb2, tags_pb2
from imagier_server.model_lock import read_lock
from running_gateway import Gateway, gateway, picture, tags_and_text

# What moves by itself, or by amounts that only a clock knows.
UNSTEADY = re.compile(r"(process|python)_|\w+_(sum|bucket)\b|imagier_(cpu_seconds_total|event_loop_|memory_)")
LIMIT = 64 * 1024
WITHOUT_TEXT = {
    'imagier_engine_requests_total{code="ok",model="tagger"}': 1,
    'imagier_engine_request_rows_count{model="tagger"}': 1,
    'imagier_tasks_total{code="ok",task="tags"}': 1,
    'imagier_task_duration_seconds_count{outcome="ok",task="tags"}': 1,
    'imagier_stage_duration_seconds_count{stage="decode",task=""}': 1,
    'imagier_stage_duration_seconds_count{stage="prepare",task="tags"}': 1,
    'imagier_stage_duration_seconds_count{stage="infer",task="tags"}': 1,
    'imagier_stage_duration_seconds_count{stage="finish",task="tags"}': 1,
    'imagier_image_bytes_count{format="image/jpeg"}': 1,
    'imagier_image_pixels_count{format="image/jpeg"}': 1,
}


def lane(code: str, count: int = 1, name: str = "interactive") -> dict[str, float]:
    return {
        f'imagier_requests_total{{code="{code}",lane="{name}"}}': count,
        f'imagier_request_duration_seconds_count{{lane="{name}"}}': count,
    }


def task(name: str, code: str, outcome: str, reason: str = "") -> dict[str, float]:
    moved: dict[str, float] = {
        f'imagier_tasks_total{{code="{code}",task="{name}"}}': 1,
        f'imagier_task_duration_seconds_count{{outcome="{outcome}",task="{name}"}}': 1,
    }
    return moved | ({f'imagier_task_failures_total{{reason="{reason}",task="{name}"}}': 1} if reason else {})


def engine(code: str, count: int = 1) -> dict[str, float]:
    return {f'imagier_engine_attempts_total{{code="{code}",engine="ENGINE"}}': count}


def only_tags(image: bytes) -> annotator_pb2.AnnotateRequest:
    return annotator_pb2.AnnotateRequest(image=image, tags=tags_pb2.TagsOptions())


async def samples(running: Gateway) -> dict[str, float]:
    """By line; the address of the engine, which differs from run to run, is ENGINE."""
    return {re.sub(r'engine="[^"]+"', 'engine="ENGINE"', line): n for line, n in (await running.samples()).items()}


async def moved(running: Gateway, event: Callable[[], Awaitable[Any]]) -> dict[str, float]:
    before = await samples(running)
    with suppress(grpc.aio.AioRpcError):
        await event()
    after = await samples(running)
    assert before.keys() == after.keys(), "every series was there from the start"
    return {line: after[line] - before[line] for line in after if after[line] != before[line] and steady(line)}


def steady(line: str) -> bool:
    return not UNSTEADY.match(line)


@pytest.fixture
async def small(repository: Path, fake: FakeTriton, unused_tcp_port: int) -> AsyncIterator[Gateway]:
    async with serving(fake) as port, gateway(repository, port, unused_tcp_port, max_image_bytes=LIMIT) as running:
        await running.until(ready=True)
        yield running


async def test_pictures_answered(small: Gateway) -> None:
    assert await moved(small, lambda: small.stub.Annotate(only_tags(picture()))) == WITHOUT_TEXT | lane("ok") | engine(
        "ok"
    )
    # The detector finds no text here, so there is nothing to finish.
    text = task("text", "ok", "ok") | {
        'imagier_engine_requests_total{code="ok",model="text_detector"}': 1,
        'imagier_engine_request_rows_count{model="text_detector"}': 1,
        'imagier_stage_duration_seconds_count{stage="prepare",task="text"}': 1,
        'imagier_stage_duration_seconds_count{stage="infer",task="text"}': 1,
    }
    both = WITHOUT_TEXT | text | lane("ok") | engine("ok", 2)
    assert await moved(small, lambda: small.stub.Annotate(tags_and_text(picture()))) == both


async def test_a_stream(small: Gateway) -> None:
    async def requests() -> AsyncIterator[annotator_pb2.AnnotateStreamRequest]:
        for _ in range(3):
            yield annotator_pb2.AnnotateStreamRequest(request=only_tags(picture()))

    async def stream() -> None:
        assert [answer async for answer in small.stub.AnnotateStream(requests())]

    each = WITHOUT_TEXT | lane("ok", name="bulk") | engine("ok")
    assert await moved(small, stream) == {line: 3 * count for line, count in each.items()}


@pytest.mark.parametrize(
    ("image", "reason", "decoder"),
    [
        (b"nothing", "INVALID_IMAGE", {"unknown": "INVALID_IMAGE"}),
        (picture()[:300], "INVALID_IMAGE", {"image/jpeg": "INVALID_IMAGE"}),
        (bytes(LIMIT + 1), "IMAGE_TOO_LARGE", {}),
    ],
)
async def test_bad_pictures(small: Gateway, image: bytes, reason: str, decoder: dict[str, str]) -> None:
    failed = lane("invalid") | task("tags", "invalid", "client_error", reason)
    for fmt, why in decoder.items():
        failed[f'imagier_decoder_failures_total{{format="{fmt}",reason="{why}"}}'] = 1
        failed['imagier_stage_duration_seconds_count{stage="decode",task=""}'] = 1
    assert await moved(small, lambda: small.stub.Annotate(only_tags(image))) == failed


async def test_no_task(small: Gateway) -> None:
    nothing = annotator_pb2.AnnotateRequest(image=picture())
    assert await moved(small, lambda: small.stub.Annotate(nothing)) == lane("invalid")


@pytest.mark.parametrize(
    ("refusal", "code", "outcome", "reason"),
    [
        ((grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size"), "exhausted", "rejected", "QUEUE_FULL"),
        ((grpc.StatusCode.UNAVAILABLE, "stopping"), "unavailable", "server_error", "ENGINE_UNAVAILABLE"),
        ((grpc.StatusCode.INTERNAL, "the words on the receipt"), "internal", "server_error", "INTERNAL"),
    ],
)
async def test_triton_fails_one_task(
    small: Gateway, fake: FakeTriton, refusal: tuple[grpc.StatusCode, str], code: str, outcome: str, reason: str
) -> None:
    async def refuse(*call: Any) -> Any:
        if reason == "ENGINE_UNAVAILABLE":
            fake.loaded.clear()  # or the next look, half a second later, would find it well
        return await refusing(*refusal)(*call)

    fake.behaviours["tagger"] = refuse
    expected = {line: count for line, count in WITHOUT_TEXT.items() if not re.search('rows|"ok"|finish', line)}
    expected |= lane("ok") | task("tags", code, outcome, reason) | engine(code)
    expected[f'imagier_engine_requests_total{{code="{code}",model="tagger"}}'] = 1
    if reason == "ENGINE_UNAVAILABLE":
        # The only Triton is given up until the next look, and there is no other to try.
        expected |= {
            "imagier_engines_up": -1,
            'imagier_engine_ready{engine="ENGINE"}': -1,
            "imagier_engine_ejections_total": 1,
            'imagier_engine_retries_total{outcome="refused"}': 1,
        }
        models = ("tagger", "text_detector", "text_line_orienter", "text_recognizer", "captioner")
        expected |= {f'imagier_model_ready{{model="{model}"}}': -1 for model in models}
    assert await moved(small, lambda: small.stub.Annotate(only_tags(picture()))) == expected


async def test_a_deadline_that_passes(repository: Path, fake: FakeTriton, unused_tcp_port: int) -> None:
    fake.behaviours["tagger"] = never
    async with serving(fake) as port, gateway(repository, port, unused_tcp_port, deadline_seconds=0.5) as running:
        await running.until(ready=True)
        seen = await moved(running, lambda: running.stub.Annotate(only_tags(picture())))
        failed = lane("deadline") | task("tags", "deadline", "server_error", "DEADLINE_EXCEEDED")
        assert seen.items() >= failed.items()
        # In Triton, unless this machine took as long to get there.
        assert sum(count for line, count in seen.items() if line.startswith("imagier_cancelled_total")) == 1


@pytest.mark.parametrize(("languages", "code"), [(["fr"], "ok"), (["fr"] * 17, "invalid")])
async def test_keywords(small: Gateway, languages: list[str], code: str) -> None:
    request = keywords_pb2.MatchKeywordsRequest(keywords=["dog"], languages=languages)
    expected = {f'imagier_keyword_requests_total{{code="{code}"}}': 1}
    assert await moved(small, lambda: small.stub.MatchKeywords(request)) == expected


async def test_what_is_in_flight_and_what_is_refused_meanwhile(
    repository: Path, fake: FakeTriton, unused_tcp_port: int
) -> None:
    fake.behaviours["tagger"] = never
    narrow = {"in_flight": 1, "decoders": 1}
    async with serving(fake) as port, gateway(repository, port, unused_tcp_port, **narrow) as running:
        await running.until(ready=True)
        image = picture()
        calls: list[grpc.aio.Call] = []
        free = {"imagier_in_flight_pictures": 0.0, "imagier_waiting_streams": 0.0}

        async def held_by_triton() -> None:
            calls.append(running.stub.Annotate(only_tags(image)))
            async with asyncio.timeout(10):
                while not fake.requests:
                    await running.ready()

        async def stream() -> AsyncIterator[annotator_pb2.AnnotateStreamRequest]:
            yield annotator_pb2.AnnotateStreamRequest(request=only_tags(image))

        assert {line: n for line, n in (await moved(running, held_by_triton)).items() if "in_flight" in line} == {
            "imagier_in_flight_pictures": 1,
            "imagier_in_flight_bytes": len(image),
            'imagier_in_flight_tasks{task="tags"}': 1,
            'imagier_engine_in_flight_requests{engine="ENGINE"}': 1,
        }
        refused = lane("exhausted") | task("tags", "exhausted", "rejected", "PICTURES_FULL")
        assert await moved(running, lambda: running.stub.Annotate(only_tags(image))) == refused

        async def not_read() -> None:
            calls.append(running.stub.AnnotateStream(stream()))
            async with asyncio.timeout(10):
                while not await running.metric("imagier_waiting_streams"):
                    pass

        assert await moved(running, not_read) == {"imagier_waiting_streams": 1}

        async def left() -> None:
            held, waiting = calls
            async with asyncio.timeout(10):
                waiting.cancel()  # first, or it would take the place that the other leaves
                while await running.metric("imagier_waiting_streams"):
                    pass
                held.cancel()
                while not (await running.samples()).items() >= free.items():
                    pass

        gone = await moved(running, left)
        assert (
            gone.items()
            >= (lane("cancelled") | task("tags", "cancelled", "client_error") | engine("cancelled")).items()
        )
        assert gone['imagier_cancelled_total{stage="infer"}'] == 1


async def test_what_runs_and_what_room_it_has(repository: Path, fake: FakeTriton, unused_tcp_port: int) -> None:
    room = {"in_flight": 3, "in_flight_bytes": 5 << 20, "decoders": 2}
    async with serving(fake) as port, gateway(repository, port, unused_tcp_port, **room) as running:
        said = await samples(running)
    expected = {
        "imagier_in_flight_pictures_limit": 3,
        "imagier_in_flight_bytes_limit": 5 << 20,
        "imagier_decoders": 2,
        f'imagier_build_info{{python="{platform.python_version()}",version="{version("imagier")}"}}': 1,
    }
    for model in read_lock(repository).values():
        labels = f'digest="{model.source_digest[:12]}",model="{model.role}",version="{model.full_version}"'
        expected[f"imagier_model_info{{{labels}}}"] = 1
    assert said.items() >= expected.items()
    assert sum(line.startswith(("imagier_build_info", "imagier_model_info")) for line in said) == len(expected) - 3


async def test_a_decoder_that_is_held_up_and_then_killed(
    repository: Path, fake: FakeTriton, unused_tcp_port: int
) -> None:
    others = set(psutil.Process().children())
    async with serving(fake) as port, gateway(repository, port, unused_tcp_port, decoders=1) as running:
        await running.until(ready=True)
        (decoder,) = set(psutil.Process().children()) - others
        image = picture()
        calls: list[grpc.aio.Call] = []

        async def held_up() -> None:
            decoder.suspend()
            calls.extend(running.stub.Annotate(only_tags(image)) for _ in range(3))
            async with asyncio.timeout(10):
                while await running.metric("imagier_decoder_waiting_pictures") < 2:
                    pass

        async def goes_on() -> None:
            decoder.resume()
            await asyncio.gather(*calls)

        async def replaced() -> None:
            decoder.kill()
            psutil.wait_procs([decoder])
            await running.stub.Annotate(only_tags(image))

        held = {
            "imagier_decoders_busy": 1,
            "imagier_decoder_waiting_pictures": 2,
            "imagier_in_flight_pictures": 3,
            "imagier_in_flight_bytes": 3 * len(image),
        }
        assert await moved(running, held_up) == held
        one = WITHOUT_TEXT | lane("ok") | engine("ok")
        three = {line: 3 * count for line, count in one.items()}
        assert await moved(running, goes_on) == three | {line: -count for line, count in held.items()}
        assert await moved(running, replaced) == one | {"imagier_decoder_restarts_total": 1}


async def test_a_second_attempt(repository: Path, fake: FakeTriton, unused_tcp_port: int) -> None:
    other = FakeTriton(fake.models, set(fake.loaded), dict(fake.behaviours))

    async def leave(*call: Any) -> Any:
        fake.loaded.clear()
        return await refusing(grpc.StatusCode.UNAVAILABLE, "stopping")(*call)

    fake.behaviours["tagger"] = leave
    async with serving(fake) as first, serving(other) as second:
        both = f"127.0.0.1:{first},127.0.0.1:{second}"
        async with gateway(repository, 0, unused_tcp_port, engine=both) as running:
            async with asyncio.timeout(20):
                while await running.metric("imagier_engines_up") < 2:
                    pass

            async def each_in_turn() -> None:
                await running.stub.Annotate(only_tags(picture()))
                await running.stub.Annotate(only_tags(picture()))

            seen = await moved(running, each_in_turn)
            assert seen['imagier_engine_retries_total{outcome="sent"}'] == 1
            assert seen['imagier_engine_requests_total{code="ok",model="tagger"}'] == 2
            assert 'imagier_engine_retries_total{outcome="refused"}' not in seen


async def test_an_engine_that_stops(repository: Path, fake: FakeTriton, unused_tcp_port: int) -> None:
    states = [
        "imagier_engines",
        "imagier_engines_up",
        'imagier_engine_ready{engine="ENGINE"}',
        'imagier_model_ready{model="tagger"}',
    ]

    async def states_are(running: Gateway, expected: list[float]) -> None:
        async with asyncio.timeout(20):
            while [(await samples(running))[line] for line in states] != expected:
                pass

    async with serving(fake) as port:
        context = gateway(repository, port, unused_tcp_port)
        running = await context.__aenter__()
        await running.until(ready=True)
        await states_are(running, [1, 1, 1, 1])
        fake.loaded.discard("text_detector")
        await states_are(running, [1, 1, 0, 1])
    try:
        await states_are(running, [1, 0, 0, 0])
        seen = await moved(running, lambda: running.stub.Annotate(only_tags(picture())))
        assert seen['imagier_task_failures_total{reason="ENGINE_UNAVAILABLE",task="tags"}'] == 1
    finally:
        await context.__aexit__(None, None, None)


async def test_time_is_counted_where_it_is_spent(small: Gateway) -> None:
    before = await samples(small)
    await small.stub.Annotate(tags_and_text(picture()))  # no text is found, and nothing finished
    after = await samples(small)
    spent = {line for line, value in after.items() if value > before[line]}
    timed = re.compile('imagier_(cpu_seconds_total|stage_duration_seconds_sum){.*task="(|tags|text)"')
    assert {line for line in after if timed.match(line)} - spent == {
        f'{name}{{stage="finish",task="text"}}'
        for name in ("imagier_cpu_seconds_total", "imagier_stage_duration_seconds_sum")
    }
    async with asyncio.timeout(10):
        while (await samples(small))["imagier_event_loop_lag_seconds_count"] < before[
            "imagier_event_loop_lag_seconds_count"
        ] + 2:
            pass
    assert (await samples(small))["imagier_event_loop_tasks"] > 0


async def test_a_hostile_caller_makes_no_series(small: Gateway) -> None:
    before = await samples(small)
    calls: Iterable[Callable[[], Awaitable[Any]]] = [
        *(
            lambda name=name: small.stub.Annotate(tags_and_text(picture(), name))
            for name in ("a", "b" * 128, "c" * 500)
        ),
        lambda: small.stub.Annotate(tags_and_text(b"GIF89a" + bytes(50))),
        lambda: small.stub.Annotate(only_tags(picture()), metadata=(("user-agent", "x" * 100), ("x-tenant", "y"))),
        lambda: small.stub.MatchKeywords(keywords_pb2.MatchKeywordsRequest(keywords=["new"], languages=["tlh", "xx"])),
        lambda: small.channel.unary_unary("/imagier.v1.AnnotatorService/Invented")(b""),
    ]
    for call in calls:
        with suppress(grpc.aio.AioRpcError):
            await call()
    assert (await samples(small)).keys() == before.keys()
    assert len([line for line in before if line.startswith("imagier_")]) < 1000
