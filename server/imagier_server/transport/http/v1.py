# SPDX-License-Identifier: Apache-2.0
"""/v1 for people: a picture in, JSON out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from starlette.datastructures import ImmutableMultiDict, UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from imagier_server.errors import InvalidImageError, InvalidRequestError
from imagier_server.messages import AnnotateRequest
from imagier_server.transport.catalog import to_catalog
from imagier_server.transport.codec import to_response
from imagier_server.transport.codecs.registry import codecs
from imagier_server.transport.http.asking import asked, named, no_option
from imagier_server.transport.http.bodies import FIELD_BYTES
from imagier_server.transport.http.documents import Document
from imagier_server.transport.http.door import Door
from imagier_server.transport.http.facades.facade import Endpoint

IMAGE, URL, TASKS, LANGUAGES, REQUEST_ID, NONCE = "image", "url", "tasks", "languages", "request_id", "receipt_nonce"
_TRUE, _FALSE = {"true", "1", "yes", "on", ""}, {"false", "0", "no", "off"}

Fields = ImmutableMultiDict[str, Any]


async def annotate(request: Request, door: Door) -> Response:
    """Annotate the picture that is the body, a file of a form, or base64 in JSON. Raises `ImagierError`."""
    call = await door.call_of(request)
    door.knock(call)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        image, members = _from_json(await door.json(request, call), request.query_params)
    elif kind == "multipart/form-data":
        image, members = await _from_form(await door.form(request, call), request.query_params)
    else:
        image, fields = _apart(kind, await door.body(request, call))
        members = _members(ImmutableMultiDict([*request.query_params.multi_items(), *fields]))
    if URL in members:
        if image:
            raise InvalidRequestError("send the picture or its URL, not both", field=URL)
        image = await door.fetch(members.pop(URL), call)
    return rendered(to_response(await door.annotate(_asked(image, members), call)))


async def catalog(request: Request, door: Door) -> Response:
    """What this server can do."""
    await door.call_of(request)
    return rendered(to_catalog(door.catalogue()))


ENDPOINTS = (
    Endpoint("/v1/annotate", annotate),
    Endpoint("/v1/catalog", catalog, ("GET",)),
)


def rendered(message: Message) -> Response:
    """The message in protobuf's JSON, with fields that are empty or zero: no reader has to know that they may be missing."""
    return JSONResponse(MessageToDict(message, always_print_fields_with_no_presence=True))


def _apart(kind: str, body: bytes) -> tuple[bytes, list[tuple[str, str]]]:
    """The picture or the fields of a body. curl says "urlencoded" of pictures too; no picture is text."""
    if kind == "application/x-www-form-urlencoded" and len(body) <= FIELD_BYTES and body.isascii():
        text = body.decode("ascii")
        if text.isprintable():
            return b"", parse_qsl(text, keep_blank_values=True)
    return body, []


async def _from_form(form: Fields, query: Fields) -> tuple[bytes, dict[str, Any]]:
    files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
    fields = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
    members = _members(ImmutableMultiDict([*query.multi_items(), *fields]))
    if not files and URL not in members:
        raise InvalidImageError("the form has no file: send the picture in the field image")
    return await files[0].read() if files else b"", members


def _from_json(document: Document, query: Fields) -> tuple[bytes, dict[str, Any]]:
    if not isinstance(document.value, dict):
        raise InvalidRequestError("the body must be a JSON object")
    members = _members(query) | document.value
    image = b"" if URL in members and IMAGE not in members else document.picture(members.pop(IMAGE, None))
    document.check_read()
    return image, members


def _asked(image: bytes, members: dict[str, Any]) -> AnnotateRequest:
    """The request of a picture and of a JSON object: lists of tasks and languages, and each task's options by its name."""
    tasks, languages = members.pop(TASKS, []), members.pop(LANGUAGES, [])
    for name, value in ((TASKS, tasks), (LANGUAGES, languages)):
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise InvalidRequestError("this must be a list of strings", field=name)
    request_id = members.pop(REQUEST_ID, "")
    if not isinstance(request_id, str):
        raise InvalidRequestError("this must be a string", field=REQUEST_ID)
    nonce = _nonce(members.pop(NONCE, None))
    for name in members:
        if name not in codecs():
            raise _no_field(name)
    return replace(asked(image, {task: {} for task in tasks} | members, languages, request_id), nonce=nonce)


def _nonce(value: object) -> bytes | None:
    """What asks for a processing receipt. In hexadecimal, as `imagier receipt verify` takes it: queries lose the + of base64."""
    if value is None:
        return None
    try:
        return bytes.fromhex(value)  # type: ignore[arg-type]  # what is no string is refused, too
    except (TypeError, ValueError):
        raise InvalidRequestError("this must be hexadecimal digits, two for each byte", field=NONCE) from None


def _members(fields: Fields) -> dict[str, Any]:
    """The JSON object of fields: tasks=tags,ocr or tags=, languages=fr,en, request_id=7, tags.max_tags=5, a list by repetition."""
    members: dict[str, Any] = {}
    for name in dict.fromkeys(fields.keys()):
        texts = fields.getlist(name)
        task, dot, option = name.partition(".")
        codec = codecs().get(task)
        if name in {TASKS, LANGUAGES}:
            members[name] = [part.strip() for text in texts for part in text.split(",") if part.strip()]
        elif name in {REQUEST_ID, URL, NONCE}:
            members[name] = texts[0]
        elif name == IMAGE:
            raise InvalidImageError("this must be a file, and no text: with curl, -F image=@photo.jpg")
        elif codec is None:
            raise _no_field(name)
        elif not dot:
            if any(_truth(text, task) for text in texts):
                members.setdefault(task, {})
        else:
            known = _field(codec.options, option)
            if known is None:
                raise no_option(task, option)
            members.setdefault(task, {})[known.name] = _value(known, texts, task)
    return members


def _no_field(name: str) -> InvalidRequestError:
    return InvalidRequestError("there is no such field: see /openapi.json", field=named(name))


def _field(options: type[Message], name: str) -> Any:
    return options.DESCRIPTOR.fields_by_name.get(name) or options.DESCRIPTOR.fields_by_camelcase_name.get(name)


def _value(field: Any, texts: list[str], task: str) -> Any:
    """What protobuf's JSON has for texts: numbers may be strings there, truth values not."""
    values = [_truth(text, f"{task}.{field.name}") for text in texts] if field.type == field.TYPE_BOOL else texts
    if field.is_repeated:
        return values
    if len(values) > 1:
        raise InvalidRequestError("this option is there twice", field=f"{task}.{field.name}")
    return values[0]


def _truth(text: str, field: str) -> bool:
    if text.lower() in _TRUE | _FALSE:
        return text.lower() in _TRUE
    raise InvalidRequestError("write true or false", field=field)
