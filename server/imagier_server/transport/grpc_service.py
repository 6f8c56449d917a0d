# SPDX-License-Identifier: Apache-2.0
"""AnnotatorService: message → value → pipeline → message."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import grpc
from imagier.v1 import annotator_pb2, annotator_pb2_grpc, catalog_pb2, keywords_pb2

from imagier_server.errors import ImagierError
from imagier_server.messages import Annotation, Lane
from imagier_server.pipeline import Pipeline
from imagier_server.transport.codec import first, from_request, to_keywords_response, to_response
from imagier_server.transport.status import abort, to_status


class AnnotatorService(annotator_pb2_grpc.AnnotatorServiceServicer):
    """The service before one pipeline. `catalog` answers what the server can do at that moment.

    `trace` continues the trace that a call's metadata name.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        catalog: Callable[[], catalog_pb2.GetCatalogResponse],
        trace: Callable[[Any], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._pipeline = pipeline
        self._catalog = catalog
        self._trace = trace

    async def Annotate(  # noqa: N802 - gRPC's name
        self,
        request: annotator_pb2.AnnotateRequest,
        context: grpc.aio.ServicerContext[annotator_pb2.AnnotateRequest, annotator_pb2.AnnotateResponse],
    ) -> annotator_pb2.AnnotateResponse:
        """One picture."""
        try:
            with self._trace(context.invocation_metadata()):
                annotation = await self._pipeline.annotate(
                    from_request(request), Lane.INTERACTIVE, context.time_remaining()
                )
        except ImagierError as error:
            await abort(context, error)
        return to_response(annotation)

    async def AnnotateStream(  # type: ignore[override]  # noqa: N802 - gRPC's name; the stubs know generators only
        self,
        request_iterator: AsyncIterator[annotator_pb2.AnnotateStreamRequest],
        context: grpc.aio.ServicerContext[annotator_pb2.AnnotateStreamRequest, annotator_pb2.AnnotateStreamResponse],
    ) -> None:
        """Many pictures; answers one at a time, as gRPC wants them written."""
        writing = asyncio.Lock()

        async def answer(request_id: str, outcome: Annotation | ImagierError) -> None:
            message = annotator_pb2.AnnotateStreamResponse(request_id=request_id)
            if isinstance(outcome, Annotation):
                message.response.CopyFrom(to_response(outcome))
            else:
                message.error.CopyFrom(to_status(outcome))
            async with writing:
                await context.write(message)

        requests = (from_request(message.request) async for message in request_iterator)
        try:
            with self._trace(context.invocation_metadata()):
                await self._pipeline.annotate_many(requests, answer, context.time_remaining)
        except ImagierError as error:
            await abort(context, error)

    async def GetCatalog(  # noqa: N802 - gRPC's name
        self,
        request: catalog_pb2.GetCatalogRequest,
        context: grpc.aio.ServicerContext[catalog_pb2.GetCatalogRequest, catalog_pb2.GetCatalogResponse],
    ) -> catalog_pb2.GetCatalogResponse:
        """What this server can do."""
        del request, context
        return self._catalog()

    async def MatchKeywords(  # noqa: N802 - gRPC's name
        self,
        request: keywords_pb2.MatchKeywordsRequest,
        context: grpc.aio.ServicerContext[keywords_pb2.MatchKeywordsRequest, keywords_pb2.MatchKeywordsResponse],
    ) -> keywords_pb2.MatchKeywordsResponse:
        """What the keywords of a library mean."""
        try:
            matches = await self._pipeline.match_keywords(
                first(request.keywords), first(request.languages), first(request.keyword_languages)
            )
        except ImagierError as error:
            await abort(context, error)
        return to_keywords_response(matches)
