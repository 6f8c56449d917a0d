# SPDX-License-Identifier: Apache-2.0
"""Health for probes, and metrics. Needs no key."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from imagier_server.transport.http import problems
from imagier_server.transport.http.door import Door
from imagier_server.transport.http.facades.facade import Endpoint, Facade


async def alive(_request: Request, _door: Door) -> Response:
    """200 while the event loop runs."""
    return PlainTextResponse("alive")


async def ready(_request: Request, door: Door) -> Response:
    """200 if every model is ready and new work is accepted, else 503."""
    if door.gateway.ready() and not door.gateway.draining.begun:
        return PlainTextResponse("ready")
    return PlainTextResponse("not ready", HTTPStatus.SERVICE_UNAVAILABLE)


async def metrics(request: Request, door: Door) -> Response:
    """The metrics, for Prometheus. A busy event loop delays them, unlike those of the port of their own."""
    encode, kind = choose_encoder(request.headers.get("accept", ""))
    return Response(await asyncio.to_thread(encode, door.gateway.metrics.registry), media_type=kind)


METRICS = Facade("metrics", (Endpoint("/metrics", metrics, ("GET",)),), problems.refuse)
ENDPOINTS = (Endpoint("/livez", alive, ("GET",)), Endpoint("/readyz", ready, ("GET",)))
