# SPDX-License-Identifier: Apache-2.0
"""/v1/embed-text: the vectors of texts for people."""

from __future__ import annotations

from typing import Any

from imagier.v1 import embedding_pb2
from starlette.requests import Request
from starlette.responses import Response

from imagier_server.errors import InvalidRequestError
from imagier_server.tasks.embedding.texts import MAX_CHARACTERS, MAX_TEXTS
from imagier_server.tasks.languages import MAX_LANGUAGE, MAX_LANGUAGES
from imagier_server.transport.codecs.embedding import from_texts, to_texts
from imagier_server.transport.http.asking import message_of
from imagier_server.transport.http.door import Door
from imagier_server.transport.http.facades.facade import Endpoint
from imagier_server.transport.http.v1 import rendered


async def embed_text(request: Request, door: Door) -> Response:
    """The vectors of the texts in a JSON object. Raises `ImagierError`."""
    call = await door.call_of(request)
    document = await door.json(request, call)
    document.check_read()
    for name in ("texts", "languages"):
        # protobuf's JSON takes null, too, of which the schema says nothing.
        if isinstance(document.value, dict) and not isinstance(document.value.get(name, []), list):
            raise InvalidRequestError("this must be a list of strings", field=name)
    message = message_of(document.value, embedding_pb2.EmbedTextRequest)
    return rendered(to_texts(*await door.embed(from_texts(message), call)))


ENDPOINTS = (Endpoint("/v1/embed-text", embed_text),)

BODY: dict[str, Any] = {
    "type": "object",
    "properties": {
        "texts": {
            "type": "array",
            "items": {"type": "string", "minLength": 1, "maxLength": MAX_CHARACTERS},
            "minItems": 1,
            "maxItems": MAX_TEXTS,
            "description": "What to embed: words, phrases, sentences. None may be blank.",
        },
        "languages": {
            "type": "array",
            "items": {"type": "string", "maxLength": MAX_LANGUAGE},
            "maxItems": MAX_LANGUAGES,
            "description": "BCP 47 languages of the texts, if they are known.",
        },
        "encoding": {
            "type": "string",
            "enum": [value.name for value in embedding_pb2.VectorEncoding.DESCRIPTOR.values],
            "description": "How the vectors are written.",
        },
    },
    "required": ["texts"],
    "additionalProperties": False,
}
"""The schema of the request."""
