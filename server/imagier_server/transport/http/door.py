# SPDX-License-Identifier: Apache-2.0
"""What every HTTP route has: who calls, the body within limits, and the way to the pipeline."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass

from starlette.datastructures import FormData
from starlette.requests import Request

from imagier_server.call import CallContext, Lane, Transport, answer_by
from imagier_server.catalogue import Catalogue
from imagier_server.errors import InvalidRequestError
from imagier_server.messages import AnnotateRequest, Annotation, KeywordsRequest, TaskOutcome
from imagier_server.tasks.embedding.values import EmbedTextRequest, SpaceInfo, TextEmbeddings
from imagier_server.tasks.tags.values import KeywordMatches
from imagier_server.transport.credentials import idempotency_key
from imagier_server.transport.gateway import Gateway
from imagier_server.transport.http.bodies import BodyReader
from imagier_server.transport.http.documents import Document, parse
from imagier_server.transport.http.fetching import Fetcher
from imagier_server.transport.parsing import WORDS_BYTES
from imagier_server.transport.peer import caller


@dataclass(frozen=True, slots=True)
class Door:
    """The door of one server. `image_bytes` is the maximum size of a picture file. `fetcher` is None if URLs are not fetched."""

    gateway: Gateway
    bodies: BodyReader
    image_bytes: int
    fetcher: Fetcher | None = None

    async def call_of(
        self, request: Request, *, secret: str | None = None, seconds: float | None = None
    ) -> CallContext:
        """The call, whose caller waits for `seconds`. `secret`: its key, if it is not in the headers.

        Raises `UnauthenticatedError`, `InvalidRequestError`.
        """
        headers = request.headers.items()
        if secret is None:
            identity = await self.gateway.credentials.identify(headers, request.state.certificate_names)
        else:
            identity = await self.gateway.credentials.identify_secret(secret)
        return CallContext(
            Transport.HTTP,
            Lane.INTERACTIVE,
            caller(_peer(request), identity),
            answer_by(seconds),
            identity,
            idempotency_key(headers),
        )

    def knock(self, call: CallContext) -> None:
        """Refuse a call for a picture before its body is read, if there is no room. Raises `OverloadedError`."""
        self.gateway.pipeline.knock(call)

    def batch(self, call: CallContext) -> AbstractContextManager[CallContext]:
        """The call of a program that sends a batch at once and never retries: it waits a while. Raises `OverloadedError`."""
        return self.gateway.batches.place(call)

    async def body(self, request: Request, call: CallContext, most: int | None = None) -> bytes:
        """The body of at most `most` bytes (None: of a picture file). Raises what `BodyReader.reading` does."""
        return await self.bodies.body(request, call, self.image_bytes if most is None else most)

    async def json(self, request: Request, call: CallContext) -> Document:
        """The body as JSON. Raises what `body` and `documents.parse` do."""
        return parse(await self.body(request, call, self.json_bytes))

    async def form(self, request: Request, call: CallContext) -> FormData:
        """The fields of a multipart body, the file in memory. Raises what `BodyReader.form` does."""
        return await self.bodies.form(request, call, self.image_bytes + WORDS_BYTES)

    def arriving(self, request: Request, call: CallContext) -> AbstractAsyncContextManager[AsyncGenerator[bytes, None]]:
        """The same in chunks, for `bodies.fields` or to be passed on. Raises what `BodyReader.reading` does."""
        return self.bodies.reading(request, call, self.image_bytes + WORDS_BYTES)

    async def fetch(self, url: object, call: CallContext) -> bytes:
        """The picture file at a URL. Raises `InvalidRequestError` if this server fetches none, and what `Fetcher.fetch` does."""
        if self.fetcher is None:
            raise InvalidRequestError("this server fetches no pictures by URL: send the file", field="url")
        if not isinstance(url, str):
            raise InvalidRequestError("this must be a string", field="url")
        return await self.fetcher.fetch(url, call)

    async def annotate(self, wanted: AnnotateRequest, call: CallContext) -> Annotation:
        """Annotate a picture; `asking.asked` makes the request. Raises `ImagierError`."""
        return await self.gateway.pipeline.annotate(wanted, call)

    async def match(self, wanted: KeywordsRequest, call: CallContext) -> KeywordMatches:
        """Match keywords. Raises `ImagierError`."""
        return await self.gateway.keywords.match(wanted, call)

    async def embed(self, wanted: EmbedTextRequest, call: CallContext) -> tuple[TextEmbeddings, TaskOutcome]:
        """The vectors of texts, and what they cost. Raises `ImagierError`."""
        return await self.gateway.texts.embed(wanted, call)

    @property
    def space(self) -> SpaceInfo | None:
        """What this server's vectors may be compared with; None if it has none."""
        space = self.gateway.texts.task.space
        return space.info if space else None

    def catalogue(self) -> Catalogue:
        """What this server can do now."""
        return self.gateway.catalogue()

    @property
    def json_bytes(self) -> int:
        """Maximum bytes of a JSON body: a picture in base64, with every slash and line end escaped, and words."""
        return self.image_bytes * 3 // 2 + WORDS_BYTES


def _peer(request: Request) -> str:
    """The connection in gRPC's notation."""
    if request.client is None or not request.client.host:
        return "unix:"
    host, port = request.client
    return f"ipv6:[{host}]:{port}" if ":" in host else f"ipv4:{host}:{port}"
