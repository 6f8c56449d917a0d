# SPDX-License-Identifier: Apache-2.0
"""What a façade declares."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from imagier_server.errors import ImagierError
from imagier_server.transport.http.door import Door

Handler = Callable[[Request, Door], Awaitable[Response]]
"""Answers a request. Raises `ImagierError`."""

Refuse = Callable[[Request, ImagierError], Response]
"""Renders an error for the client that sent the request."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A path as Starlette writes it ("/x/{name}"), and its handler."""

    path: str
    handler: Handler
    methods: tuple[str, ...] = ("POST",)


@dataclass(frozen=True, slots=True)
class Facade:
    """The API of another program."""

    name: str
    endpoints: tuple[Endpoint, ...]
    refuse: Refuse
