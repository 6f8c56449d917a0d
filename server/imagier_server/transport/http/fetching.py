# SPDX-License-Identifier: Apache-2.0
"""Fetches pictures by URL, off by default."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from urllib.parse import SplitResult, urljoin

import h11

from imagier_server.admission.bodies import Bodies, Body
from imagier_server.admission.receiving import Receiving
from imagier_server.call import CallContext
from imagier_server.errors import Full, OverloadedError
from imagier_server.transport.http.bodies import arriving, too_large
from imagier_server.transport.http.connecting import (
    PIECE,
    Connector,
    UrlRefusedError,
    UrlUnavailableError,
    target,
)

MAX_REDIRECTS = 3
_REDIRECTS = {301, 302, 303, 307, 308}
_LATER = {408, 425, 429}


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Fetches for one server. A picture has `seconds` and `image_bytes`."""

    receiving: Receiving
    bodies: Bodies
    connector: Connector
    seconds: float
    image_bytes: int
    agent: str

    async def fetch(self, url: str, call: CallContext) -> bytes:
        """The file at a URL. Raises `UrlRefusedError`, `UrlUnavailableError`, `ImageTooLargeError`, `OverloadedError`."""
        with arriving(self.receiving, call), self.bodies.body(call.caller) as body:
            try:
                async with asyncio.timeout(min(self.seconds, max(0.0, call.seconds_left))) as body.ends:
                    return await self._follow(url, body)
            except TimeoutError:
                if body.stopped:
                    raise OverloadedError("too many bytes of pictures are being fetched", Full.ARRIVING) from None
                raise UrlUnavailableError(f"the picture was not there within {self.seconds:g} s") from None
            except (OSError, ssl.SSLError, h11.RemoteProtocolError):
                raise UrlUnavailableError("the URL's server cannot be reached, or does not speak HTTP") from None

    async def _follow(self, url: str, body: Body) -> bytes:
        for _ in range(1 + MAX_REDIRECTS):
            parts = self.connector.checked(url)
            async with self.connector.connected(parts) as (reader, writer):
                found = await self._get(parts, reader, writer, body)
            if isinstance(found, bytes):
                return found
            url = urljoin(url, found)
        raise UrlRefusedError(f"the URL redirects more than {MAX_REDIRECTS} times")

    async def _get(
        self, parts: SplitResult, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: Body
    ) -> bytes | str:
        """The file, or where the server sends us. Nothing of the caller goes along."""
        http = h11.Connection(h11.CLIENT)
        headers = [
            ("host", parts.netloc),
            ("user-agent", self.agent),
            ("accept", "image/*"),
            ("accept-encoding", "identity"),
            ("connection", "close"),
        ]
        writer.write(http.send(h11.Request(method="GET", target=target(parts), headers=headers)) or b"")
        writer.write(http.send(h11.EndOfMessage()) or b"")
        await writer.drain()
        pieces: list[bytes] = []
        size = 0
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                http.receive_data(await reader.read(PIECE))
            elif isinstance(event, h11.Response):
                if location := self._judged(event):
                    return location
            elif isinstance(event, h11.Data):
                size += len(event.data)
                if size > self.image_bytes:
                    raise too_large(self.image_bytes)
                self.bodies.add(body, len(event.data))
                pieces.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                return b"".join(pieces)
            elif isinstance(event, h11.ConnectionClosed):
                raise UrlUnavailableError("the URL's server closed the connection early")

    def _judged(self, response: h11.Response) -> str | None:
        """Where the server sends us; None if the file follows."""
        headers = {name.decode("ascii"): value.decode("latin-1") for name, value in response.headers}
        status = response.status_code
        if status in _REDIRECTS and headers.get("location"):
            return headers["location"]
        if status in _LATER or status >= 500:
            raise UrlUnavailableError("the URL's server asks to come back later")
        if status != 200:
            raise UrlRefusedError("the URL's server does not give the file")
        if headers.get("content-encoding", "identity") != "identity":
            raise UrlRefusedError("the URL's server sends the file compressed")
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self.image_bytes:
            raise too_large(self.image_bytes)
        return None
