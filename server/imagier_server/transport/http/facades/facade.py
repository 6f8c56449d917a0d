# SPDX-License-Identifier: Apache-2.0
"""What a façade declares."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from imagier_server.errors import ImagierError
from imagier_server.settings import Settings
from imagier_server.transport.http.door import Door

Handler = Callable[[Request, Door], Awaitable[Response]]
"""Answers a request. Raises `ImagierError`."""

Refuse = Callable[[Request, ImagierError], Response]
"""Renders an error for the client that sent the request."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A path as Starlette writes it ("/x/{name}"), and its handler.

    `at_root`: served without the façade's prefix, too, for a program that drops the path of its base URL. `browsers`: False leaves
    requests there that accept text/html to another endpoint of the same path, such as the page at /.
    """

    path: str
    handler: Handler
    methods: tuple[str, ...] = ("POST",)
    at_root: bool = False
    browsers: bool = True


Opened = Callable[[Door, Settings], AbstractAsyncContextManager[tuple[Endpoint, ...]]]
"""Yields endpoints that share something, which lives until the block ends."""


@dataclass(frozen=True, slots=True)
class Facade:
    """The API of another program. Its endpoints lie under `prefix`; those of `opened` live as long as the server."""

    name: str
    endpoints: tuple[Endpoint, ...]
    refuse: Refuse
    prefix: str = ""
    opened: Opened | None = None
