# SPDX-License-Identifier: Apache-2.0
"""Asks a question about the one picture of a request, for every façade of this kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request

from imagier_server.call import CallContext
from imagier_server.errors import InvalidRequestError
from imagier_server.messages import Annotation
from imagier_server.transport.http.dialect.languages import preferred
from imagier_server.transport.http.dialect.models import DialectModel, find, offered
from imagier_server.transport.http.dialect.question import Question
from imagier_server.transport.http.documents import Document
from imagier_server.transport.http.door import Door

KEY = "key"
"""The parameter of a query that may hold the API key, for clients whose settings have a base URL only."""


class Body(BaseModel):
    """What is read of a body. Everything else in it, such as temperature, means nothing here and is passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True, protected_namespaces=())


B = TypeVar("B", bound=Body)


# A mebibyte of JSON has half a million entries, which would take seconds to check.
_LAST = 256
_FEW = 64


def last(value: object) -> object:
    """The end of a list of messages, where the picture is; an empty list for anything else, such as a text."""
    return value[-_LAST:] if isinstance(value, list) else ()


def few(value: object) -> object:
    """A short list; an empty one for anything else. Raises `ValueError` for a long one."""
    if not isinstance(value, list):
        return ()
    if len(value) > _FEW:
        raise ValueError(f"more than {_FEW} entries")
    return value


async def call_of(request: Request, door: Door) -> CallContext:
    """The call, by the key in its headers or else in its query. Raises `UnauthenticatedError`."""
    in_headers = "authorization" in request.headers or "x-api-key" in request.headers
    return await door.call_of(request, secret=None if in_headers else request.query_params.get(KEY))


def read(kind: type[B], value: object) -> B:
    """What a body says. Raises `InvalidRequestError` with the field that does not fit."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(map(str, fault["loc"]))
        why = "this must be a JSON object" if fault["type"] == "model_type" else fault["msg"].lower()
        raise InvalidRequestError(f"{field or 'the body'} does not fit: {why}", field=field or None) from None


def models_of(door: Door) -> dict[str, DialectModel]:
    """The models that the server offers now, by name."""
    return dict(offered(door.catalogue()))


def model_of(door: Door, name: str) -> DialectModel:
    """The model of a name. Raises `UnknownModelError`."""
    return find(models_of(door), name)


def languages_of(request: Request) -> tuple[str, ...]:
    """The languages that the caller prefers."""
    return preferred(request.headers.get("accept-language", ""))


async def ask(
    question: Question, pictures: Sequence[str], field: str, document: Document, door: Door, call: CallContext
) -> Annotation:
    """The annotation of the one picture, at `field` of the document. Raises `ImagierError`."""
    if not pictures:
        raise InvalidRequestError("there is no picture, and this server answers about pictures only", field=field)
    if len(pictures) > 1:
        raise InvalidRequestError("there are several pictures: send one per request", field=field)
    (picture,) = pictures
    if not picture[:8].lower().startswith(("http://", "https://")):
        image = document.picture(picture, field)
    elif door.fetcher is None:
        raise InvalidRequestError(
            "this server does not fetch pictures: send the file as a data: URL in base64", field=field
        )
    else:
        image = await door.fetch(picture, call)
    return await door.annotate(question.request(image), call)
