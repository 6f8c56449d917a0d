# SPDX-License-Identifier: Apache-2.0
"""Connects to the hosts of URLs: names are resolved once, and only checked addresses are connected to."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import SplitResult, urlsplit

from imagier_server.errors import Code, ImagierError, InvalidRequestError
from imagier_server.transport.http.addresses import Allowed

PIECE = 64 * 1024
"""Bytes that are read at a time."""
MAX_URL = 2048
_PORTS = {"http": 80, "https": 443}
_PRIVILEGED = 1024
_LOOK_UPS = 4
"""Names looked up at a time, in threads of their own: a slow name server keeps nothing else from its thread."""


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
class Connector:
    """Connects for one server. `plain`: http too, not https only."""

    allowed: Allowed
    plain: bool
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(_LOOK_UPS, "look-up"), init=False)

    def checked(self, url: str) -> SplitResult:
        """The URL's parts. Raises `UrlRefusedError`."""
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
    async def connected(self, parts: SplitResult) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """Connect to an address that was checked: the name is not looked up again.

        Raises `UrlRefusedError`, `UrlUnavailableError`, `RefusedAddressError`, `OSError`.
        """
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
        connect = partial(asyncio.open_connection, port=port, limit=PIECE, ssl=tls, server_hostname=name)
        for address in addresses[:-1]:
            with suppress(OSError):
                return await connect(address)
        return await connect(addresses[-1])


def target(parts: SplitResult) -> str:
    """What a request asks for: path and query."""
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
