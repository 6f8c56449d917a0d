# SPDX-License-Identifier: Apache-2.0
"""AnnotatorService: message → value → pipeline, streams, keyword matching or text embedding → message."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import grpc
from imagier.v1 import annotator_pb2, annotator_pb2_grpc, catalog_pb2, embedding_pb2, keywords_pb2

from imagier_server.call import Lane
from imagier_server.catalogue import Catalogue
from imagier_server.errors import ImagierError
from imagier_server.keyword_matching import KeywordMatching
from imagier_server.label_training import LabelTraining
from imagier_server.messages import AnnotateRequest, Annotation, KeywordsRequest
from imagier_server.pipeline import Pipeline
from imagier_server.streams import Streams
from imagier_server.text_embedding import TextEmbedder
from imagier_server.transport.catalog import to_catalog
from imagier_server.transport.codec import from_request, from_stream_request, to_keywords_response, to_response
from imagier_server.transport.codecs.codec import first
from imagier_server.transport.codecs.embedding import from_examples, from_texts, to_taught, to_texts
from imagier_server.transport.codecs.registry import codecs
from imagier_server.transport.grpc.calls import call_of
from imagier_server.transport.grpc.incoming import Refused
from imagier_server.transport.status import to_status
from imagier_server.transport.used import USAGE, used


class AnnotatorService(annotator_pb2_grpc.AnnotatorServiceServicer):
    """The service of one server. Interceptors turn an `ImagierError` into a status.

    `catalogue` returns the current catalogue.
    `trace` continues the trace in a call's metadata.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        streams: Streams,
        keywords: KeywordMatching,
        texts: TextEmbedder,
        catalogue: Callable[[], Catalogue],
        trace: Callable[[Any], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        codecs()  # a missing codec must fail now, not for the first caller
        self._pipeline = pipeline
        self._streams = streams
        self._keywords = keywords
        self._texts = texts
        self._catalogue = catalogue
        self._trace = trace

    async def Annotate(  # noqa: N802 - gRPC's name
        self,
        request: annotator_pb2.AnnotateRequest,
        context: grpc.aio.ServicerContext[annotator_pb2.AnnotateRequest, annotator_pb2.AnnotateResponse],
    ) -> annotator_pb2.AnnotateResponse:
        """Annotate one picture."""
        wanted = from_request(request)
        del request  # it holds a second copy of the picture
        with self._trace(context.invocation_metadata()):
            annotation = await self._pipeline.annotate(wanted, call_of(context, Lane.INTERACTIVE))
        if any(name == USAGE for name, _ in context.invocation_metadata() or ()):
            context.set_trailing_metadata(((USAGE, used(annotation.timings)),))
        return to_response(annotation)

    async def AnnotateStream(  # type: ignore[override]  # noqa: N802 - gRPC's name; the stubs know generators only
        self,
        request_iterator: AsyncIterator[annotator_pb2.AnnotateStreamRequest | Refused],
        context: grpc.aio.ServicerContext[annotator_pb2.AnnotateStreamRequest, annotator_pb2.AnnotateStreamResponse],
    ) -> None:
        """Annotate many pictures; gRPC writes answers one at a time."""
        writing = asyncio.Lock()

        async def answer(request_id: str, outcome: Annotation | ImagierError) -> None:
            message = annotator_pb2.AnnotateStreamResponse(request_id=request_id)
            if isinstance(outcome, Annotation):
                message.response.CopyFrom(to_response(outcome))
            else:
                message.error.CopyFrom(to_status(outcome))
            async with writing:
                await context.write(message)

        with self._trace(context.invocation_metadata()):
            await self._streams.annotate(_requests(request_iterator), answer, call_of(context, Lane.BULK))

    async def GetCatalog(  # noqa: N802 - gRPC's name
        self,
        request: catalog_pb2.GetCatalogRequest,
        context: grpc.aio.ServicerContext[catalog_pb2.GetCatalogRequest, catalog_pb2.GetCatalogResponse],
    ) -> catalog_pb2.GetCatalogResponse:
        """What this server can do."""
        del request, context
        return to_catalog(self._catalogue())

    async def MatchKeywords(  # noqa: N802 - gRPC's name
        self,
        request: keywords_pb2.MatchKeywordsRequest,
        context: grpc.aio.ServicerContext[keywords_pb2.MatchKeywordsRequest, keywords_pb2.MatchKeywordsResponse],
    ) -> keywords_pb2.MatchKeywordsResponse:
        """What the keywords of a library mean."""
        wanted = KeywordsRequest(first(request.keywords), first(request.languages), first(request.keyword_languages))
        return to_keywords_response(await self._keywords.match(wanted, call_of(context, Lane.INTERACTIVE)))

    async def EmbedText(  # noqa: N802 - gRPC's name
        self,
        request: embedding_pb2.EmbedTextRequest,
        context: grpc.aio.ServicerContext[embedding_pb2.EmbedTextRequest, embedding_pb2.EmbedTextResponse],
    ) -> embedding_pb2.EmbedTextResponse:
        """The vectors of texts."""
        with self._trace(context.invocation_metadata()):
            return to_texts(*await self._texts.embed(from_texts(request), call_of(context, Lane.INTERACTIVE)))

    async def TrainLabel(  # noqa: N802 - gRPC's name
        self,
        request: embedding_pb2.TrainLabelRequest,
        context: grpc.aio.ServicerContext[embedding_pb2.TrainLabelRequest, embedding_pb2.TrainLabelResponse],
    ) -> embedding_pb2.TrainLabelResponse:
        """A taught label."""
        call = call_of(context, Lane.INTERACTIVE)
        return to_taught(*await LabelTraining(self._texts).train(from_examples(request), call))


async def _requests(
    messages: AsyncIterator[annotator_pb2.AnnotateStreamRequest | Refused],
) -> AsyncIterator[AnnotateRequest]:
    """A stream's messages as values. Nothing of them is kept while the next one is awaited."""
    async for message in messages:
        if isinstance(message, Refused):
            request = AnnotateRequest(b"", {}, request_id=message.request_id, fault=message.fault)
        else:
            request = from_stream_request(message)
        del message
        yield request
        del request
