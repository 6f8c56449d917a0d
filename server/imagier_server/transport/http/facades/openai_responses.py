# SPDX-License-Identifier: Apache-2.0
"""OpenAI's responses: the picture is a part of the input, the answer the text of the one output message. Nothing is stored."""

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
from imagier_server.transport.http.dialect.question import Question
from imagier_server.transport.http.door import Door
from imagier_server.transport.http.facades.openai_chat import fields_of

_NO_TOKENS = {
    "input_tokens": 0,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens": 0,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 0,
}
"""No language model runs, so no token is used."""


class _Part(Body):
    type: str = ""
    image_url: str | None = None


class _Item(Body):
    content: Annotated[tuple[_Part, ...], BeforeValidator(few)] = ()


class _Format(Body):
    type: str = "text"
    schema_: Any = Field(None, alias="schema")


class _Text(Body):
    format: _Format | None = None


class _Asked(Body):
    model: str
    input: Annotated[tuple[_Item, ...], BeforeValidator(last)] = ()
    text: _Text | None = None
    stream: bool | None = False
    background: bool | None = False
    previous_response_id: str | None = None
    conversation: Any = None
    tool_choice: Any = None


async def respond(request: Request, door: Door) -> Response:
    """POST /v1/responses."""
    call = await call_of(request, door)
    door.knock(call)
    document = await door.json(request, call)
    asked = read(_Asked, document.value)
    question = _question(asked, languages_of(request), door)
    text = question.answer(await ask(question, _pictures(asked), "input", document, door, call))
    response = {
        "id": f"resp_{uuid.uuid4().hex}",
        "object": "response",
        "created_at": int(time.time()),
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": question.model.name,
        "parallel_tool_calls": False,
        "store": False,
        "temperature": None,
        "tool_choice": "none",
        "tools": [],
        "top_p": None,
    }
    if asked.stream:
        events = enumerate(_events(response, text))
        lines = (
            f"event: {event['type']}\ndata: {json.dumps({**event, 'sequence_number': number})}\n\n"
            for number, event in events
        )
        return Response("".join(lines), media_type="text/event-stream")
    return JSONResponse(_completed(response, text))


def _question(asked: _Asked, languages: tuple[str, ...], door: Door) -> Question:
    model = model_of(door, asked.model)
    for field in ("background", "previous_response_id", "conversation"):
        if getattr(asked, field):
            raise InvalidRequestError("nothing is stored here: send the picture, and wait for the answer", field=field)
    if asked.tool_choice not in (None, "auto", "none"):
        raise InvalidRequestError("no tool is ever called: leave tool_choice out, or auto or none", field="tool_choice")
    wanted = asked.text.format if asked.text else None
    fields = fields_of(model, wanted.type, wanted.schema_, "text.format") if wanted else None
    return Question(model, fields, languages)


def _pictures(asked: _Asked) -> list[str]:
    """The pictures of the last item that has any: clients repeat the conversation so far."""
    for item in reversed(asked.input):
        images = [part for part in item.content if part.type == "input_image"]
        if any(part.image_url is None for part in images):
            raise InvalidRequestError(
                "no file is stored here: send the picture as image_url, a data: URL", field="input"
            )
        if images:
            return [part.image_url for part in images if part.image_url is not None]
    return []


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _message(response: Mapping[str, Any], status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
    name = response["id"].replace("resp_", "msg_")
    return {"id": name, "type": "message", "status": status, "role": "assistant", "content": content}


def _completed(response: Mapping[str, Any], text: str) -> dict[str, Any]:
    output = [_message(response, "completed", [_part(text)])]
    return {**response, "status": "completed", "output": output, "usage": _NO_TOKENS}


def _events(response: Mapping[str, Any], text: str) -> Iterable[dict[str, Any]]:
    """The answer in the events of a stream: it is whole before the first is sent, so that a fault has its status."""
    begun = {**response, "status": "in_progress", "output": [], "usage": None}
    message = _message(response, "completed", [_part(text)])
    item = {"item_id": message["id"], "output_index": 0}
    part = {**item, "content_index": 0}
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    yield {"type": "response.output_item.added", "output_index": 0, "item": _message(response, "in_progress", [])}
    yield {"type": "response.content_part.added", **part, "part": _part("")}
    yield {"type": "response.output_text.delta", **part, "delta": text, "logprobs": []}
    yield {"type": "response.output_text.done", **part, "text": text, "logprobs": []}
    yield {"type": "response.content_part.done", **part, "part": _part(text)}
    yield {"type": "response.output_item.done", "output_index": 0, "item": message}
    yield {"type": "response.completed", "response": _completed(response, text)}
