# SPDX-License-Identifier: Apache-2.0
"""Traces: from the caller through the gateway's stages into Triton, to a collector; and nothing of the picture on the way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from imagier_server.timings import Stage
from support.collector import Collector, collecting
from support.fake_triton import FakeTriton, refusing, serving
from support.running_gateway import Gateway, gateway, picture, tags_and_text

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = (("traceparent", f"00-{TRACE}-{CALLER}-01"), ("baggage", "who=someone"))


@pytest.fixture
async def collector() -> AsyncIterator[tuple[Collector, int]]:
    async with collecting() as made:
        yield made


@pytest.fixture
def traced(repository: Path, fake: FakeTriton, unused_tcp_port: int, collector: tuple[Collector, int]) -> Any:
    """A gateway for a while; at its end all that it traced is with the collector."""

    @asynccontextmanager
    async def run() -> AsyncIterator[Gateway]:
        async with (
            serving(fake) as port,
            gateway(repository, port, unused_tcp_port, traces=f"127.0.0.1:{collector[1]}") as running,
        ):
            await running.until(ready=True)
            yield running

    return run


def heard(fake: FakeTriton, model: str) -> list[dict[str, Any]]:
    """The metadata of each request for that model, from now on."""
    answer, seen = fake.behaviours[model], list[dict[str, Any]]()

    async def listen(request: Any, context: Any) -> Any:
        seen.append(dict(context.invocation_metadata()))
        return await answer(request, context)

    fake.behaviours[model] = listen
    return seen


async def test_a_picture_is_one_trace_from_the_caller_into_triton(
    traced: Callable[[], Any], fake: FakeTriton, collector: tuple[Collector, int]
) -> None:
    asked = heard(fake, "tagger")
    async with traced() as running:
        await running.stub.Annotate(tags_and_text(picture(), "a-request-id"), metadata=TRACEPARENT)
    spans = {span.name: span for span in collector[0].spans}
    assert spans.keys() == {
        "picture",
        "decode",
        "tags prepare",
        "tags infer",
        "tags finish",
        "ocr prepare",
        "ocr infer",
    }
    assert {span.trace_id.hex() for span in spans.values()} == {TRACE}
    whole = spans.pop("picture")
    assert whole.parent_span_id.hex() == CALLER
    assert {span.parent_span_id for span in spans.values()} == {whole.span_id}
    (metadata,) = asked
    assert metadata["traceparent"] == f"00-{TRACE}-{spans['tags infer'].span_id.hex()}-01"
    assert "baggage" not in metadata


async def test_a_span_says_why_it_failed_and_nothing_else(
    traced: Callable[[], Any], fake: FakeTriton, collector: tuple[Collector, int]
) -> None:
    fake.behaviours["tagger"] = refusing(grpc.StatusCode.INTERNAL, "the words on the receipt")
    async with traced() as running:
        await running.stub.Annotate(tags_and_text(picture(), "a-request-id"))
        with pytest.raises(grpc.aio.AioRpcError):
            await running.stub.Annotate(tags_and_text(b"the words on the receipt"))
    spans = collector[0].spans
    assert {(span.name, span.status.message) for span in spans if span.status.message} == {
        ("tags infer", "INTERNAL"),
        ("decode", "INVALID_IMAGE"),
        ("picture", "INVALID_IMAGE"),
    }
    assert [span.name for span in spans if span.attributes or span.events or span.links] == []
    assert {span.name.split()[-1] for span in spans} <= {"picture", *Stage}
    sent = str(collector[0].sent)
    assert "receipt" not in sent
    assert "a-request-id" not in sent


async def test_without_a_collector_triton_is_told_nothing(running: Gateway, fake: FakeTriton) -> None:
    asked = heard(fake, "tagger")
    await running.stub.Annotate(tags_and_text(picture()), metadata=TRACEPARENT)
    assert "traceparent" not in asked[0]
