# SPDX-License-Identifier: Apache-2.0
"""The page at /, to try the server on: static files, served from memory."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_FOLDER = Path(__file__).parent
_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".webp": "image/webp",
}
_GZIP = re.compile(r"(?<![\w-])gzip(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))")
# Nothing from another host, nothing inline. blob: is the picture that the reader shows.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    # Kept, but asked about each time: an upgraded server never serves half of an old page.
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True, slots=True)
class _File:
    """A file as it is sent."""

    content: bytes
    media_type: str
    encoding: str | None = None

    @property
    def headers(self) -> Mapping[str, str]:
        """With an entity tag (RFC 9110, section 8.8.3)."""
        own = {"ETag": f'"{hashlib.sha256(self.content).hexdigest()[:32]}"', "Vary": "accept-encoding"}
        return _HEADERS | own | ({"Content-Encoding": self.encoding} if self.encoding else {})

    @property
    def packed(self) -> _File:
        """The same, compressed, if that makes it smaller."""
        content = gzip.compress(self.content, mtime=0)
        return _File(content, self.media_type, "gzip") if len(content) < len(self.content) else self


def routes(grpc_port: int | None) -> list[Route]:
    """Build the routes of / and /page/…; `grpc_port` is for the calls that the page shows (None: gRPC has no port)."""
    files = dict(_files())
    server = json.dumps({"grpcPort": grpc_port}).encode()
    files["server.json"] = _File(server, "application/json")
    served = {"/": files.pop("index.html")} | {f"/page/{name}": file for name, file in files.items()}
    return [Route(path, _answering(file, file.packed)) for path, file in served.items()]


def _files() -> Iterator[tuple[str, _File]]:
    for path in sorted(_FOLDER.rglob("*")):
        if media_type := _TYPES.get(path.suffix):
            yield path.relative_to(_FOLDER).as_posix(), _File(path.read_bytes(), media_type)


def _answering(plain: _File, packed: _File) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        file = packed if _GZIP.search(request.headers.get("accept-encoding", "")) else plain
        held = (tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(","))
        if file.headers["ETag"] in held:
            return Response(status_code=304, headers=file.headers)
        return Response(file.content, media_type=file.media_type, headers=file.headers)

    return answer
