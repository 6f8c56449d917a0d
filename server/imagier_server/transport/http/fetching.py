# SPDX-License-Identifier: Apache-2.0
"""Fetches pictures by URL, off by default: names are resolved once, and only checked addresses are connected to."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import SplitResult, urljoin, urlsplit

import h11

from imagier_server.admission.bodies import Bodies, Body
from imagier_server.admission.receiving import Receiving
from imagier_server.call import CallContext
from imagier_server.errors import Code, Full, ImagierError, InvalidRequestError, OverloadedError
from imagier_server.transport.http.addresses import Allowed
from imagier_server.transport.http.bodies import too_large

MAX_URL = 2048
MAX_REDIRECTS = 3
_PORTS = {"http": 80, "https": 443}
_PRIVILEGED = 1024
_PIECE = 64 * 1024
_LOOK_UPS = 4
"""Names looked up at a time, in threads of their own: a slow name server keeps nothing else from its thread."""
_REDIRECTS = {301, 302, 303, 307, 308}
_LATER = {408, 425, 429}


class UrlRefusedError(InvalidRequestError):
    """The URL cannot be fetched: its form, or what its server answers."""

    reason = "URL_REFUSED"

    def __init__(self, text: str) -> None:
        super().__init__(text, field="url")


class UrlUnavailableError(ImagierError):
    """The URL's server does not answer, or asks to come back later."""

    code = Code.UNAVAILABLE
    reason = "URL_UNAVAILABLE"
    retry_after = 5.0

    def __init__(self, text: str) -> None:
        super().__init__(text, field="url")


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Fetches for one server. `plain`: http too, not https only. A picture has `seconds` and `image_bytes`."""

    receiving: Receiving
    bodies: Bodies
    allowed: Allowed
    plain: bool
    seconds: float
    image_bytes: int
    agent: str
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(_LOOK_UPS, "look-up"), init=False)

    async def fetch(self, url: str, call: CallContext) -> bytes:
        """The file at a URL. Raises `UrlRefusedError`, `UrlUnavailableError`, `ImageTooLargeError`, `OverloadedError`."""
        with self.receiving.call(call.caller), self.bodies.body(call.caller) as body:
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
            parts = self._checked(url)
            async with self._connected(parts) as (reader, writer):
                found = await self._get(parts, reader, writer, body)
            if isinstance(found, bytes):
                return found
            url = urljoin(url, found)
        raise UrlRefusedError(f"the URL redirects more than {MAX_REDIRECTS} times")

    def _checked(self, url: str) -> SplitResult:
        try:
            parts = urlsplit(url)
            port = parts.port or _PORTS.get(parts.scheme, 0)
        except ValueError:
            raise UrlRefusedError("this is no URL") from None
        if parts.scheme not in {"https"} | ({"http"} if self.plain else set()):
            raise UrlRefusedError("the URL must begin with https://")
        if len(url) > MAX_URL or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
            raise UrlRefusedError(f"the URL must have at most {MAX_URL} characters, all ASCII, others escaped")
        if not parts.hostname or "@" in parts.netloc:
            raise UrlRefusedError("the URL needs a host, and may not have a user")
        if port < _PRIVILEGED and port not in _PORTS.values():
            raise UrlRefusedError("the URL's port is one of another service")
        return parts

    @asynccontextmanager
    async def _connected(self, parts: SplitResult) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """Connect to an address that was checked: the name is not looked up again."""
        host, port = str(parts.hostname), parts.port or _PORTS[parts.scheme]
        try:
            look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
            found = await asyncio.get_running_loop().run_in_executor(self._threads, look_up)
        except socket.gaierror as error:
            if error.errno == socket.EAI_AGAIN:
                raise UrlUnavailableError("the URL's host cannot be looked up now") from None
            raise UrlRefusedError("the URL's host is unknown") from None
        except UnicodeError:
            raise UrlRefusedError("the URL's host is no name") from None
        addresses = [str(address[0]) for *_, address in found]
        self.allowed.check(addresses)
        reader, writer = await self._opened(addresses, port, host if parts.scheme == "https" else None)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    async def _opened(
        self, addresses: Sequence[str], port: int, name: str | None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the first address that takes one; over TLS if there is a `name` to verify."""
        tls = None
        if name:  # it reads the system's authorities from their files
            tls = await asyncio.get_running_loop().run_in_executor(self._threads, ssl.create_default_context)
        connect = partial(asyncio.open_connection, port=port, limit=_PIECE, ssl=tls, server_hostname=name)
        for address in addresses[:-1]:
            with suppress(OSError):
                return await connect(address)
        return await connect(addresses[-1])

    async def _get(
        self, parts: SplitResult, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: Body
    ) -> bytes | str:
        """The file, or where the server sends us. Nothing of the caller goes along."""
        http = h11.Connection(h11.CLIENT)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = [
            ("host", parts.netloc),
            ("user-agent", self.agent),
            ("accept", "image/*"),
            ("accept-encoding", "identity"),
            ("connection", "close"),
        ]
        writer.write(http.send(h11.Request(method="GET", target=target, headers=headers)) or b"")
        writer.write(http.send(h11.EndOfMessage()) or b"")
        await writer.drain()
        pieces: list[bytes] = []
        size = 0
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                http.receive_data(await reader.read(_PIECE))
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
