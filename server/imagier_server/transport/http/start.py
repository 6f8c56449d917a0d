# SPDX-License-Identifier: Apache-2.0
"""Opens the HTTP door as the settings say."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from importlib.metadata import version

from imagier_server import endpoints
from imagier_server.admission.bodies import Bodies
from imagier_server.settings import Settings
from imagier_server.transport.certificates import Certificates
from imagier_server.transport.gateway import Gateway
from imagier_server.transport.http import page, probes
from imagier_server.transport.http.addresses import Allowed
from imagier_server.transport.http.app import application
from imagier_server.transport.http.bodies import BodyReader
from imagier_server.transport.http.connecting import Connector
from imagier_server.transport.http.door import Door
from imagier_server.transport.http.facades import registry
from imagier_server.transport.http.facades.facade import Facade
from imagier_server.transport.http.fetching import Fetcher
from imagier_server.transport.http.server import listening


@contextmanager
def taken(settings: Settings) -> Iterator[list[socket.socket]]:
    """Sockets bound to the address for HTTP. Raises OSError, and `UnknownFacadeError`, which must be known as early."""
    registry.enabled(settings.http_facades)
    host = _host(settings)
    with endpoints.taken(host, settings.http_port) as sockets:
        if path := endpoints.socket_path(host):
            with socket.socket(socket.AF_UNIX) as named:
                with endpoints.owner_and_group():
                    named.bind(path)
                yield [named]
        else:
            yield sockets


@asynccontextmanager
async def opened(
    gateway: Gateway, sockets: Sequence[socket.socket], certificates: Certificates | None, settings: Settings
) -> AsyncIterator[str]:
    """Serve on the sockets of `taken` until the block ends; yield the address. Raises `PathConflictError`."""
    arriving = Bodies(settings.receive_bytes)
    bodies = BodyReader(gateway.receiving, arriving, settings.receive_seconds, gateway.metrics)
    door = Door(gateway, bodies, settings.max_image_bytes, _fetcher(gateway, arriving, settings))
    port = settings.http_port
    if sockets[0].family != socket.AF_UNIX:
        port = sockets[0].getsockname()[1]
    async with AsyncExitStack() as stack:
        app = application(
            door,
            [
                *[await _opened(facade, door, settings, stack) for facade in registry.enabled(settings.http_facades)],
                *((probes.METRICS,) if settings.http_metrics else ()),
            ],
            [origin.strip() for origin in (settings.http_origins or "").split(",") if origin.strip()],
            page.routes(_grpc_port(settings)) if settings.http_page else (),
        )
        tls = certificates.context() if certificates else None
        await stack.enter_async_context(listening(app, sockets, settings.connections, tls))
        yield endpoints.joined(_host(settings), port)


async def _opened(facade: Facade, door: Door, settings: Settings, stack: AsyncExitStack) -> Facade:
    if facade.opened is None:
        return facade
    own = await stack.enter_async_context(facade.opened(door, settings))
    return replace(facade, endpoints=(*facade.endpoints, *own))


def _grpc_port(settings: Settings) -> int | None:
    return None if endpoints.socket_path(settings.host) else settings.port or None


def _fetcher(gateway: Gateway, arriving: Bodies, settings: Settings) -> Fetcher | None:
    if not settings.http_fetch:
        return None
    return Fetcher(
        gateway.receiving,
        arriving,
        Connector(Allowed(settings.http_fetch_networks), settings.http_fetch_plain),
        settings.http_fetch_seconds,
        settings.max_image_bytes,
        f"Imagier/{version('imagier')}",
    )


def _host(settings: Settings) -> str:
    return settings.http_host or endpoints.beside(settings.host)
