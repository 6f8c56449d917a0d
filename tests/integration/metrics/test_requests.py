# SPDX-License-Identifier: Apache-2.0
"""What /metrics says after each kind of request: exactly these series have moved, and no others."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from imagier.v1 import annotator_pb2, embedding_pb2, keywords_pb2
from support.fake_triton import FakeTriton, never, refusing, serving
from support.raw_http2 import connected
from support.running_gateway import Gateway, gateway, picture, tags_and_text
from support.series import LIMIT, WITHOUT_TEXT, engine, lane, moved, only_tags, samples, task


async def test_pictures_answered(small: Gateway) -> None:
    assert await moved(small, lambda: small.stub.Annotate(only_tags(picture()))) == WITHOUT_TEXT | lane("ok") | engine(
        "ok"
    )
    # The detector finds no text here, so there is nothing to finish.
    text = task("ocr", "ok", "ok") | {
        'imagier_engine_requests_total{code="ok",model="text_detector"}': 1,
        'imagier_engine_request_rows_count{model="text_detector"}': 1,
        'imagier_stage_duration_seconds_count{stage="prepare",task="ocr"}': 1,
        'imagier_stage_duration_seconds_count{stage="infer",task="ocr"}': 1,
    }
    both = WITHOUT_TEXT | text | lane("ok") | engine("ok", 2)
    assert await moved(small, lambda: small.stub.Annotate(tags_and_text(picture()))) == both


async def test_usage_events(repository: Path, fake: FakeTriton, unused_tcp_port: int, tmp_path: Path) -> None:
    async with (
        serving(fake) as port,
        gateway(repository, port, unused_tcp_port, usage_events=str(tmp_path / "usage.jsonl")) as running,
    ):
        await running.until(ready=True)
        await running.stub.Annotate(only_tags(picture()))
        async with asyncio.timeout(20):
            while await running.metric('imagier_usage_events_total{outcome="sent"}') < 1:
                pass
        assert await running.metric("imagier_usage_events_waiting") == 0
        assert await running.metric('imagier_usage_events_total{outcome="dropped"}') == 0
    assert len((tmp_path / "usage.jsonl").read_text().splitlines()) == 1


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
        models = ("tagger", "text_detector", "text_line_orienter", "text_recognizer", "captioner", "text_embedder")
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
    expected = {f'imagier_keyword_requests_total{{code="{code}",transport="grpc"}}': 1}
    assert await moved(small, lambda: small.stub.MatchKeywords(request)) == expected


@pytest.mark.parametrize(("texts", "code"), [(["cat", "dog"], "ok"), ([""], "invalid")])
async def test_texts(small: Gateway, texts: list[str], code: str) -> None:
    seen = await moved(small, lambda: small.stub.EmbedText(embedding_pb2.EmbedTextRequest(texts=texts)))
    assert seen[f'imagier_vector_requests_total{{code="{code}",method="EmbedText",transport="grpc"}}'] == 1
    assert seen.get("imagier_texts_total", 0) == (len(texts) if code == "ok" else 0)


async def test_what_is_no_request_yet(running: Gateway) -> None:
    async def malformed() -> None:
        with suppress(grpc.aio.AioRpcError):
            await running.channel.unary_unary("/imagier.v1.AnnotatorService/Annotate")(b"\xff")

    assert await moved(running, malformed) == {'imagier_refused_calls_total{reason="MALFORMED_REQUEST"}': 1}
    assert await running.metric("imagier_arriving_bytes") == 0
    before = await running.metric("imagier_arriving_requests")
    async with connected(int(running.address.rpartition(":")[2])) as caller, asyncio.timeout(10):
        caller.call(1, "/imagier.v1.AnnotatorService/Annotate")
        while await running.metric("imagier_arriving_requests") != before + 1:
            pass


async def test_time_is_counted_where_it_is_spent(small: Gateway) -> None:
    before = await samples(small)
    await small.stub.Annotate(tags_and_text(picture()))  # no text is found, and nothing finished
    after = await samples(small)
    spent = {line for line, value in after.items() if value > before[line]}
    timed = re.compile('imagier_(cpu_seconds_total|stage_duration_seconds_sum){.*task="(|tags|ocr)"')
    assert {line for line in after if timed.match(line)} - spent == {
        f'{name}{{stage="finish",task="ocr"}}'
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
    assert len([line for line in before if line.startswith("imagier_")]) < 1800
