# SPDX-License-Identifier: Apache-2.0
"""The same caller as Immich: pictures, words and keys in its form, and a native Immich whose address and answers hold words."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from support.canary_visits import WORDS, Visit, marked
from support.native_immich import BOUNDARY, FACES, MULTIPART, OCR, field, form
from support.running_gateway import picture


@asynccontextmanager
async def native() -> AsyncIterator[str]:
    """A native Immich that answers, answers nonsense, refuses or fails, as the model's name asks for; yields its URL."""
    word = str(WORDS["keyword"])
    answers = {
        b"nonsense": (b"200 OK", word),
        b"refused": (b"422 Unprocessable Content", json.dumps({"detail": word})),
        b"failed": (b"500 Internal Server Error", word),
    }
    good = (b"200 OK", json.dumps({"facial-recognition": [{"name": word}]}))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        body = await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r")[0]))
        status, text = next((answer for model, answer in answers.items() if b'"%b"' % model in body), good)
        writer.write(b"HTTP/1.1 %b\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (status, len(text.encode())))
        writer.write(text.encode())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/{WORDS['URL']}"


def _faces(model: str) -> dict[str, Any]:
    return {"facial-recognition": {"detection": {"modelName": model}, "recognition": {"modelName": model}}}


async def immich(visit: Visit) -> None:
    word, image, kind = str(WORDS["keyword"]), marked(picture()), MULTIPART["content-type"]
    end = f"--{BOUNDARY}--\r\n".encode()
    for entries, content, status in (
        (OCR, image, 200),
        (OCR, image[:300], 400),
        ({**OCR, **FACES}, image, 200),
        (_faces(word), image, 200),
        (_faces("nonsense"), image, 503),
        (_faces("failed"), image, 503),
        (_faces("refused"), image, 400),
        ({word: {}}, image, 422),
    ):
        assert await visit.post("/predict", form(entries, content), kind) == status
        assert await visit.post(f"/immich/{visit.key}/predict", form(entries, content), kind, None) == status
    for secret in (str(WORDS["wrong key"]), word.replace(" ", "%20")):
        assert await visit.post(f"/immich/{secret}/predict", form(OCR, image), kind, None) == 401
        assert await visit.post(f"/immich/{secret}/ping", None, kind, None) == 200
    text = field("entries", json.dumps({"clip": {"textual": {"modelName": "made-8", "options": {"language": word}}}}))
    assert await visit.post("/predict", text + field("text", word) + end, kind) == 200
    assert await visit.post("/predict", text + field("text", word * 1000) + end, kind) == 400
