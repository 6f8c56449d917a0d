# SPDX-License-Identifier: Apache-2.0
"""Sends forms to URLs, and asks whether one answers: no redirect is followed, the answer is short, and nothing is logged."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

import h11

from imagier_server.transport.http.connecting import PIECE, Connector, UrlUnavailableError, target

_MOST = 64 * 1024
"""Bytes of an answer that are read."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What a server answered: the status, and the beginning of the body."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Poster:
    """Sends for one server; an answer has `seconds`."""

    connector: Connector
    seconds: float
    agent: str

    async def post(self, url: str, form: Mapping[str, str]) -> Answered:
        """Send the fields as a browser sends a form. Raises `UrlRefusedError`, `UrlUnavailableError`, `RefusedAddressError`."""
        return await self._ask("POST", url, urlencode(form).encode("ascii"))

    async def get(self, url: str) -> Answered:
        """Ask for a page. Raises as `post`."""
        return await self._ask("GET", url, b"")

    async def _ask(self, method: str, url: str, body: bytes) -> Answered:
        parts = self.connector.checked(url)
        try:
            async with asyncio.timeout(self.seconds), self.connector.connected(parts) as (reader, writer):
                headers = [
                    ("host", parts.netloc),
                    ("user-agent", self.agent),
                    ("accept-encoding", "identity"),
                    ("connection", "close"),
                ]
                if body:
                    headers += [
                        ("content-type", "application/x-www-form-urlencoded"),
                        ("content-length", str(len(body))),
                    ]
                http = h11.Connection(h11.CLIENT)
                writer.write(http.send(h11.Request(method=method, target=target(parts), headers=headers)) or b"")
                if body:
                    writer.write(http.send(h11.Data(data=body)) or b"")
                writer.write(http.send(h11.EndOfMessage()) or b"")
                await writer.drain()
                return await _answer(http, reader)
        except TimeoutError:
            raise UrlUnavailableError(f"there was no answer within {self.seconds:g} s") from None
        except (OSError, ssl.SSLError, h11.RemoteProtocolError):
            raise UrlUnavailableError("the URL's server cannot be reached, or does not speak HTTP") from None


async def _answer(http: h11.Connection, reader: asyncio.StreamReader) -> Answered:
    status, body = 0, b""
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(await reader.read(PIECE))
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) >= _MOST:
                return Answered(status, body[:_MOST])
        elif isinstance(event, h11.EndOfMessage):
            return Answered(status, body)
        elif isinstance(event, h11.ConnectionClosed):
            raise UrlUnavailableError("the URL's server closed the connection early")
