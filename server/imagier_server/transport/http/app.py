# SPDX-License-Identifier: Apache-2.0
"""The ASGI app: routes, and what holds for each request, whatever its route."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from imagier_server.admission.draining import Draining
from imagier_server.errors import DrainingError, ImagierError, InternalError
from imagier_server.logs import logger
from imagier_server.transport.http import accounts, connect, openapi, probes, problems, reference_page, texts, v1
from imagier_server.transport.http.door import Door
from imagier_server.transport.http.facades.facade import Endpoint, Facade, Refuse
from imagier_server.transport.http.routes import ProgramRoute, check_paths, laid_out

_HEADERS = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))
_GONE = "imagier.gone"

OURS = (
    *v1.ENDPOINTS,
    *texts.ENDPOINTS,
    *accounts.ENDPOINTS,
    *openapi.ENDPOINTS,
    *reference_page.ENDPOINTS,
    *probes.ENDPOINTS,
)


def application(door: Door, facades: Sequence[Facade], origins: Sequence[str], files: Sequence[Route] = ()) -> ASGIApp:
    """The app. `origins`: whose pages may call it from a browser (CORS). `files`: the routes of our own page.

    Raises `PathConflictError`.
    """
    served = {facade.name: tuple(laid_out(facade.prefix, facade.endpoints)) for facade in facades}
    check_paths({"Imagier": OURS, **served}, files)
    routes = [*_routes(door, OURS, problems.refuse), *_routes(door, connect.endpoints(), connect.refuse)]
    for facade in facades:
        routes += _routes(door, served[facade.name], facade.refuse)
    routes += files  # behind what is for programs only at the page's own path
    cors = Middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_methods=["GET", "POST"],
        allow_headers=["*"],
        expose_headers=["retry-after", "x-should-retry"],
    )
    starlette = Starlette(
        routes=routes,
        middleware=[cors] if origins else [],
        exception_handlers={404: problems.refuse_route, 405: problems.refuse_route},
    )
    starlette.router.redirect_slashes = False
    return _Attended(starlette, door.gateway.draining)


def _routes(door: Door, endpoints: Iterable[Endpoint], refuse: Refuse) -> Iterable[Route]:
    for endpoint in endpoints:
        kind = Route if endpoint.browsers else ProgramRoute
        yield kind(endpoint.path, _guarded(endpoint, door, refuse), methods=list(endpoint.methods))


def _guarded(endpoint: Endpoint, door: Door, refuse: Refuse) -> Callable[[Request], object]:
    async def guarded(request: Request) -> Response:
        try:
            with door.gateway.trace(request.headers.items()):
                return await endpoint.handler(request, door)
        except ImagierError as error:
            return refuse(request, error.without_traceback())
        except asyncio.CancelledError:
            if request.scope[_GONE].is_set():
                raise
            return refuse(request, DrainingError("the server is shutting down"))
        except Exception:
            logger.exception("request failed")
            return refuse(request, InternalError())

    return guarded


class _Attended:
    """Ends the work of a caller who leaves, and closes connections when the server drains."""

    def __init__(self, app: ASGIApp, draining: Draining) -> None:
        self._app = app
        self._draining = draining

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = _Request(receive, send, lambda: self._draining.begun, {name for name, _ in scope["headers"]})
        scope[_GONE] = request.gone
        work = asyncio.ensure_future(self._app(scope, request.receive, request.send))
        watch = asyncio.create_task(request.leaving())
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done() and not request.answered:
                request.gone.set()
                work.cancel()
        except asyncio.CancelledError:
            work.cancel()  # uvicorn's patience is over
        with suppress(asyncio.CancelledError):
            await work
        watch.cancel()


class _Request:
    """One request's ASGI channels."""

    def __init__(self, receive: Receive, send: Send, closing: Callable[[], bool], headers: AbstractSet[bytes]) -> None:
        self._receive, self._send = receive, send
        self._closing = closing
        self._expects = b"expect" in headers
        # RFC 9112, section 6.1: a proxy may have taken the other for the end of the body.
        self._ambiguous = headers >= {b"content-length", b"transfer-encoding"}
        self._asked = False
        self._arrived = asyncio.Event()
        self.gone = asyncio.Event()
        self.answered = False

    async def receive(self) -> Message:
        """The next part of the body. After the last one, wait until cancelled: `leaving` listens."""
        self._asked = True
        if self._arrived.is_set():
            await asyncio.Event().wait()
        message = await self._receive()
        if not message.get("more_body", False):
            self._arrived.set()
        return message

    async def send(self, message: Message) -> None:
        """Send a part of the answer."""
        if message["type"] == "http.response.start":
            own = {name for name, _ in message["headers"]}
            message["headers"] = [*message["headers"], *(header for header in _HEADERS if header[0] not in own)]
            # A client that waits to be asked for its body never sends it: what comes next would be taken for it.
            if self._closing() or self._ambiguous or (self._expects and not self._asked):
                message["headers"].append((b"connection", b"close"))
        self.answered = message["type"] == "http.response.body" and not message.get("more_body", False)
        await self._send(message)

    async def leaving(self) -> None:
        """Return when the caller has left."""
        await self._arrived.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass
