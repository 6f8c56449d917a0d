# SPDX-License-Identifier: Apache-2.0
"""Connect's unary protocol (connectrpc.com) for the contract's RPCs, in JSON and in protobuf's binary form."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from imagier.v1 import account_pb2, annotator_pb2, catalog_pb2, embedding_pb2, keywords_pb2
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from imagier_server.call import CallContext
from imagier_server.errors import Code, ImagierError, InvalidRequestError
from imagier_server.label_training import LabelTraining
from imagier_server.messages import KeywordsRequest
from imagier_server.transport.account import to_balance, to_quote, to_usage
from imagier_server.transport.catalog import to_catalog
from imagier_server.transport.codec import from_request, to_keywords_response, to_response
from imagier_server.transport.codecs.codec import first
from imagier_server.transport.codecs.embedding import from_examples, from_texts, to_taught, to_texts
from imagier_server.transport.http.asking import message_of
from imagier_server.transport.http.door import Door
from imagier_server.transport.http.facades.facade import Endpoint
from imagier_server.transport.parsing import WORDS_BYTES, parsed
from imagier_server.transport.status import to_status
from imagier_server.transport.statuses import STATUSES, http_headers

JSON, BINARY = "application/json", "application/proto"
_VERSION = "1"
_MILLISECONDS = re.compile(r"\d{1,10}", re.ASCII)
_IMAGE = "image"


class NotUnaryError(ImagierError):
    """The RPC is a stream."""

    code = Code.UNSUPPORTED
    reason = "NOT_UNARY"


@dataclass(frozen=True, slots=True)
class Rpc:
    """A unary RPC: its request, and what answers it. If the request has a picture, that comes apart (else b"")."""

    request: type[Message]
    answer: Callable[[Any, bytes, CallContext, Door], Awaitable[Message]]
    picture: bool = False


async def _annotate(
    message: annotator_pb2.AnnotateRequest, image: bytes, call: CallContext, door: Door
) -> annotator_pb2.AnnotateResponse:
    return to_response(await door.annotate(replace(from_request(message), image=image), call))


async def _catalog(
    _message: catalog_pb2.GetCatalogRequest, _image: bytes, _call: CallContext, door: Door
) -> catalog_pb2.GetCatalogResponse:
    return to_catalog(door.catalogue())


async def _match(
    message: keywords_pb2.MatchKeywordsRequest, _image: bytes, call: CallContext, door: Door
) -> keywords_pb2.MatchKeywordsResponse:
    wanted = KeywordsRequest(first(message.keywords), first(message.languages), first(message.keyword_languages))
    return to_keywords_response(await door.match(wanted, call))


async def _embed_text(
    message: embedding_pb2.EmbedTextRequest, _image: bytes, call: CallContext, door: Door
) -> embedding_pb2.EmbedTextResponse:
    return to_texts(*await door.embed(from_texts(message), call))


async def _train_label(
    message: embedding_pb2.TrainLabelRequest, _image: bytes, call: CallContext, door: Door
) -> embedding_pb2.TrainLabelResponse:
    return to_taught(*await LabelTraining(door.gateway.texts).train(from_examples(message), call))


async def _balance(
    message: account_pb2.GetBalanceRequest, _image: bytes, call: CallContext, door: Door
) -> account_pb2.GetBalanceResponse:
    return to_balance(await door.gateway.accounting.balance(message.tenant, call))


async def _usage(
    message: account_pb2.ListUsageRequest, _image: bytes, call: CallContext, door: Door
) -> account_pb2.ListUsageResponse:
    used = await door.gateway.accounting.usage(message.tenant, message.first_day, message.last_day, call)
    return to_usage(used)


async def _quote(
    message: account_pb2.QuoteAnnotateRequest, _image: bytes, call: CallContext, door: Door
) -> account_pb2.QuoteAnnotateResponse:
    return to_quote(await door.gateway.accounting.quote(message.tasks, message.pictures, call))


SERVICES = {
    "imagier.v1.AnnotatorService": {
        "Annotate": Rpc(annotator_pb2.AnnotateRequest, _annotate, picture=True),
        "GetCatalog": Rpc(catalog_pb2.GetCatalogRequest, _catalog),
        "MatchKeywords": Rpc(keywords_pb2.MatchKeywordsRequest, _match),
        "EmbedText": Rpc(embedding_pb2.EmbedTextRequest, _embed_text),
        "TrainLabel": Rpc(embedding_pb2.TrainLabelRequest, _train_label),
    },
    "imagier.v1.AccountService": {
        "GetBalance": Rpc(account_pb2.GetBalanceRequest, _balance),
        "ListUsage": Rpc(account_pb2.ListUsageRequest, _usage),
        "QuoteAnnotate": Rpc(account_pb2.QuoteAnnotateRequest, _quote),
    },
}
STREAMS = ("/imagier.v1.AnnotatorService/AnnotateStream",)


def endpoints() -> Iterator[Endpoint]:
    """The endpoint of each RPC."""
    for service, rpcs in SERVICES.items():
        for name, rpc in rpcs.items():
            path = f"/{service}/{name}"
            yield Endpoint(path, partial(_unary, rpc, path))
    for path in STREAMS:
        yield Endpoint(path, _stream)


def refuse(_request: Request, error: ImagierError) -> Response:
    """Connect's form of an error."""
    details = [
        {"type": each.TypeName(), "value": b64encode(each.value).decode().rstrip("=")}
        for each in to_status(error).details
    ]
    status = STATUSES[error.code]
    content = {"code": status.connect, "message": error.text, "details": details}
    return JSONResponse(content, status.connect_http, http_headers(error))


async def _stream(_request: Request, _door: Door) -> Response:
    raise NotUnaryError("streams are for gRPC: send each picture to Annotate, several at a time")


async def _unary(rpc: Rpc, path: str, request: Request, door: Door) -> Response:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in {JSON, BINARY}:
        return Response(status_code=HTTPStatus.UNSUPPORTED_MEDIA_TYPE, headers={"accept-post": f"{JSON}, {BINARY}"})
    if request.headers.get("connect-protocol-version", _VERSION) != _VERSION:
        raise InvalidRequestError(f"connect-protocol-version must be {_VERSION}")
    call = await door.call_of(request, seconds=_seconds(request))
    if rpc.picture:
        door.knock(call)
    if kind == JSON:
        message, image = await _from_json(rpc, request, call, door)
    else:
        raw = await door.body(request, call, door.image_bytes + 2 * WORDS_BYTES)
        message = parsed(raw, path, rpc.request.FromString)
        del raw
        image = _cut_image(message) if rpc.picture else b""
    answer = await rpc.answer(message, image, call, door)
    if kind == JSON:
        return JSONResponse(MessageToDict(answer))
    return Response(answer.SerializeToString(), media_type=BINARY)


async def _from_json(rpc: Rpc, request: Request, call: CallContext, door: Door) -> tuple[Any, bytes]:
    document = await door.json(request, call)
    value, image = document.value, b""
    if rpc.picture and isinstance(value, dict) and isinstance(value.get(_IMAGE), str):
        image = document.picture(value.pop(_IMAGE))
    document.check_read()
    return message_of(value, rpc.request), image


def _cut_image(message: Any) -> bytes:
    """The picture, which the message holds no longer: one copy of it is enough."""
    image: bytes = message.image
    message.ClearField(_IMAGE)
    return image


def _seconds(request: Request) -> float | None:
    text = request.headers.get("connect-timeout-ms")
    if text is None:
        return None
    if not _MILLISECONDS.fullmatch(text):
        raise InvalidRequestError("connect-timeout-ms must be a number of at most ten digits")
    return int(text) / 1000
