# SPDX-License-Identifier: Apache-2.0
"""A real gRPC server that answers as a test says: the other side of the client's tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf import duration_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2_grpc
from grpc_status import rpc_status
from imagier.v1 import annotator_pb2, annotator_pb2_grpc, catalog_pb2, keywords_pb2

Request = annotator_pb2.AnnotateRequest
Response = annotator_pb2.AnnotateResponse
StreamResponse = annotator_pb2.AnnotateStreamResponse
Requests = AsyncIterator[annotator_pb2.AnnotateStreamRequest]
Keywords = keywords_pb2.MatchKeywordsRequest
Meanings = keywords_pb2.MatchKeywordsResponse


def status(
    code: grpc.StatusCode, reason: str = "", *, field: str = "", retry_after: float | None = None
) -> status_pb2.Status:
    """A status with the details that the contract promises; none at all without a reason, as from a proxy."""
    made = status_pb2.Status(code=code.value[0], message="a fixed sentence")
    if reason:
        made.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason, domain="imagier"))
    if field:
        violations = [error_details_pb2.BadRequest.FieldViolation(field=field, description="a fixed sentence")]
        made.details.add().Pack(error_details_pb2.BadRequest(field_violations=violations))
    if retry_after is not None:
        delay = duration_pb2.Duration()
        delay.FromNanoseconds(int(retry_after * 1e9))
        made.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    return made


OVERLOADED = status(grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED", retry_after=3.0)
NO_ENGINE = status(grpc.StatusCode.UNAVAILABLE, "ENGINE_UNAVAILABLE", retry_after=2.0)
BROKEN = status(grpc.StatusCode.UNAVAILABLE)
BAD_IMAGE = status(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_IMAGE", field="image")


async def refuse(context: Any, refusal: status_pb2.Status, pushback: str | None = None) -> None:
    """Ends the call with this status."""
    if pushback is not None:
        context.set_trailing_metadata((("grpc-retry-pushback-ms", pushback),))
        await context.send_initial_metadata(())
        made = rpc_status.to_status(refusal)
        await context.abort(made.code, made.details, (*made.trailing_metadata, ("grpc-retry-pushback-ms", pushback)))
    await context.abort_with_status(rpc_status.to_status(refusal))


def reply(request: Request) -> Response:
    """What the default server answers: its width is the picture's number of bytes."""
    response = Response(request_id=request.request_id, width=len(request.image), height=7, cost=2)
    if request.HasField("tags"):
        tag = response.tags.tags.add(id="n02124075", score=0.75, origin=1)
        names = {"en": "Egyptian cat", "fr": "mau égyptien"}
        tag.names.update({language: names[language] for language in request.languages or ["en"] if language in names})
    if request.HasField("ocr"):
        line = response.ocr.lines.add(text="Rue des Lilas", confidence=0.99)
        for x, y in ((0.1, 0.1), (0.9, 0.1), (0.9, 0.3), (0.1, 0.3)):
            line.normalized_polygon.add(x=x, y=y)
            line.polygon.add(x=x * 100, y=y * 100)
        response.ocr.text = line.text
    if request.HasField("caption"):
        response.caption.captions.add(text="A brown cat.", language="en", score=0.75, origin=1)
        response.caption.title = "Brown cat"
        response.caption.models.add(name="captioner", version="ours 1", research_only=True)
    return response


async def annotate(request: Request, _context: Any) -> Response:
    return reply(request)


async def stream(requests: Requests, _context: Any) -> AsyncIterator[StreamResponse]:
    async for item in requests:
        yield answer(item.request)


def answer(request: Request, error: status_pb2.Status | None = None) -> StreamResponse:
    """The answer to one picture of a stream."""
    if error is not None:
        return StreamResponse(request_id=request.request_id, error=error)
    return StreamResponse(request_id=request.request_id, response=reply(request))


async def match(request: Keywords, _context: Any) -> Meanings:
    """Knows "cat" only."""
    response = Meanings(unknown_languages=[language for language in request.languages if language not in ("en", "fr")])
    for keyword in request.keywords:
        matched = response.matches.add(keyword=keyword)
        if keyword == "cat":
            meaning = matched.meanings.add(
                id="n02121620", kind=keywords_pb2.MATCH_KIND_NAME, names={"fr": "chat", "en": "cat"}
            )
            meaning.parents.add(id="n00015388", names={"fr": "animal", "en": "animal"})
    return response


@dataclass
class Scripted(annotator_pb2_grpc.AnnotatorServiceServicer):
    """Set `annotate` and `stream` to what a test needs; `requests` is what came."""

    annotate: Callable[[Request, Any], Awaitable[Response]] = annotate
    stream: Callable[[Requests, Any], AsyncIterator[StreamResponse]] = stream
    match: Callable[[Keywords, Any], Awaitable[Meanings]] = match
    keywords: list[Keywords] = field(default_factory=list)
    image_bytes: int = 1000
    requests: list[Request] = field(default_factory=list)
    streams: int = 0
    catalogs: int = 0
    catalog_asked: asyncio.Event = field(default_factory=asyncio.Event)
    hold_catalog: asyncio.Event | None = None
    health: Any = None

    async def Annotate(self, request: Request, context: Any) -> Response:
        self.requests.append(request)
        return await self.annotate(request, context)

    async def AnnotateStream(self, requests: Requests, context: Any) -> AsyncIterator[StreamResponse]:
        self.streams += 1

        async def recorded() -> Requests:
            async for item in requests:
                self.requests.append(item.request)
                yield item

        async for response in self.stream(recorded(), context):
            yield response

    async def MatchKeywords(self, request: Keywords, context: Any) -> Meanings:
        self.keywords.append(request)
        return await self.match(request, context)

    async def GetCatalog(self, request: Any, context: Any) -> catalog_pb2.GetCatalogResponse:
        self.catalogs += 1
        self.catalog_asked.set()
        if self.hold_catalog:
            await self.hold_catalog.wait()
        return catalog_pb2.GetCatalogResponse(
            server_version="0.1.0",
            tasks=[catalog_pb2.TaskInfo(name="tags", options=[catalog_pb2.OptionInfo(name="max_tags", minimum=1)])],
            models=[catalog_pb2.ModelInfo(name="tagger", ready=True)],
            limits=catalog_pb2.Limits(image_bytes=self.image_bytes),
        )


@asynccontextmanager
async def serving(script: Scripted, port: int = 0) -> AsyncIterator[str]:
    """Serves the script on a loopback port, a free one by default; yields its address."""
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
    annotator_pb2_grpc.add_AnnotatorServiceServicer_to_server(script, server)
    script.health = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(script.health, server)
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)
