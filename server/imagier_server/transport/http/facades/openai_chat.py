# SPDX-License-Identifier: Apache-2.0
"""OpenAI's chat completions: the picture is a part of a message, the answer its text."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from imagier_server.errors import InvalidRequestError
from imagier_server.transport.http.dialect.asking import Body, ask, call_of, few, languages_of, last, model_of, read
from imagier_server.transport.http.dialect.models import DialectModel
from imagier_server.transport.http.dialect.question import Question, of_any_json, of_schema
from imagier_server.transport.http.dialect.shape import Shape
from imagier_server.transport.http.door import Door

NO_TOKENS = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
"""No language model runs, so no token is used."""


class _Url(Body):
    url: str


class _Part(Body):
    type: str = ""
    image_url: Annotated[_Url | None, BeforeValidator(lambda url: {"url": url} if isinstance(url, str) else url)] = None


class _Message(Body):
    role: str
    content: Annotated[tuple[_Part, ...], BeforeValidator(few)] = ()


class _Schema(Body):
    schema_: Any = Field(None, alias="schema")


class _Format(Body):
    type: str = "text"
    json_schema: _Schema | None = None


class _Options(Body):
    include_usage: bool = False


class _Completion(Body):
    model: str
    messages: Annotated[tuple[_Message, ...], BeforeValidator(last)]
    response_format: _Format | None = None
    stream: bool | None = False
    stream_options: _Options | None = None
    n: int | None = 1
    tool_choice: Any = None
    logprobs: bool | None = False


async def complete(request: Request, door: Door) -> Response:
    """POST /v1/chat/completions."""
    call = await call_of(request, door)
    door.knock(call)
    document = await door.json(request, call)
    asked = read(_Completion, document.value)
    question = _question(asked, door, languages_of(request))
    text = question.answer(await ask(question, _pictures(asked), "messages", document, door, call))
    head = {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion.chunk" if asked.stream else "chat.completion",
        "created": int(time.time()),
        "model": question.model.name,
    }
    if asked.stream:
        usage = asked.stream_options is not None and asked.stream_options.include_usage
        events = (*(f"data: {json.dumps(chunk)}\n\n" for chunk in _chunks(head, text, usage)), "data: [DONE]\n\n")
        return Response("".join(events), media_type="text/event-stream")
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return JSONResponse({**head, "choices": [choice], "usage": NO_TOKENS})


def _question(asked: _Completion, door: Door, languages: tuple[str, ...]) -> Question:
    model = model_of(door, asked.model)
    if asked.n not in {None, 1}:
        raise InvalidRequestError("there is one answer: leave n out, or 1", field="n")
    if asked.tool_choice not in (None, "auto", "none"):
        raise InvalidRequestError("no tool is ever called: leave tool_choice out, or auto or none", field="tool_choice")
    if asked.logprobs:
        raise InvalidRequestError("there are no tokens, and so no probabilities of them", field="logprobs")
    wanted = asked.response_format
    schema = wanted.json_schema.schema_ if wanted and wanted.json_schema else None
    return Question(model, fields_of(model, wanted.type, schema, "response_format") if wanted else None, languages)


def fields_of(model: DialectModel, kind: str, schema: object, where: str) -> Mapping[str, Shape] | None:
    """The fields that a format of that type asks for; None for text. Raises `InvalidRequestError`."""
    if kind == "text":
        return None
    if kind == "json_object":
        return of_any_json(model)
    if kind == "json_schema":
        return of_schema(model, schema, f"{where}.schema")
    raise InvalidRequestError("the format is text, json_object or json_schema", field=f"{where}.type")


def _pictures(asked: _Completion) -> list[str]:
    """The pictures of the last message that has any: clients repeat the conversation so far."""
    for message in reversed(asked.messages):
        if pictures := [part.image_url.url for part in message.content if part.image_url]:
            return pictures
    return []


def _chunks(head: Mapping[str, Any], text: str, usage: bool) -> Iterable[Mapping[str, Any]]:
    """The answer in the pieces of a stream: it is whole before the first is sent, so that a fault has its status."""
    for delta, reason in (({"role": "assistant", "content": ""}, None), ({"content": text}, None), ({}, "stop")):
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        yield {**head, "choices": [choice]} | ({"usage": None} if usage else {})
    if usage:
        yield {**head, "choices": [], "usage": NO_TOKENS}
