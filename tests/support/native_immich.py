# SPDX-License-Identifier: Apache-2.0
"""Immich as a caller, byte for byte, and its own machine learning as a small server that does what a test wants."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from imagier_server.transport.http.server import listening
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

BOUNDARY = "----formdata-undici-087315466211"
MULTIPART = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}

OCR: Mapping[str, Any] = {
    "ocr": {
        "detection": {"modelName": "PP-OCRv5_mobile", "options": {"minScore": 0.5, "maxResolution": 736}},
        "recognition": {"modelName": "PP-OCRv5_mobile", "options": {"minScore": 0.8}},
    }
}
FACES: Mapping[str, Any] = {
    "facial-recognition": {
        "detection": {"modelName": "buffalo_l", "options": {"minScore": 0.7}},
        "recognition": {"modelName": "buffalo_l"},
    }
}
CLIP: Mapping[str, Any] = {"clip": {"visual": {"modelName": "ViT-B-32__openai"}}}
FOUND = [{"boundingBox": {"x1": 1, "y1": 2, "x2": 30, "y2": 40}, "embedding": "[0.25,-1e-07]", "score": 0.83}]


def field(name: str, value: str) -> bytes:
    """A field as Node's fetch (undici) writes it."""
    return f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()


def blob(image: bytes) -> bytes:
    """The picture: a Blob without a type."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="blob"\r\n'
    return f"{head}Content-Type: application/octet-stream\r\n\r\n".encode() + image + b"\r\n"


def form(entries: Mapping[str, Any], image: bytes) -> bytes:
    """What Immich's server posts to /predict: the entries first."""
    return field("entries", json.dumps(entries, separators=(",", ":"))) + blob(image) + f"--{BOUNDARY}--\r\n".encode()


class NativeImmich:
    """The server. `seen` holds the entries and the picture of each request."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, bytes]] = []
        self.answer: Callable[[Request], Awaitable[Response]] = self.faces
        self.waiting = asyncio.Semaphore(0)
        self.go = asyncio.Event()

    async def faces(self, request: Request) -> Response:
        """Find a face in each picture."""
        async with request.form() as fields:
            self.seen.append((json.loads(str(fields["entries"])), await fields["image"].read()))  # type: ignore[union-attr]
        return JSONResponse({"facial-recognition": FOUND, "imageHeight": 480, "imageWidth": 640})

    async def wait(self, request: Request) -> Response:
        """Answer when `go` is set; each request that waits for it can be acquired from `waiting`."""
        self.waiting.release()
        await self.go.wait()
        return await self.faces(request)

    async def _predict(self, request: Request) -> Response:
        return await self.answer(request)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Serve at a base URL with a path."""
        app = Starlette(routes=[Route("/ml/predict", self._predict, methods=["POST"])])
        with socket.create_server(("127.0.0.1", 0)) as bound:
            async with listening(app, [bound], 64):
                yield f"http://127.0.0.1:{bound.getsockname()[1]}/ml"
