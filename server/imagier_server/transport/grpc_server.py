# SPDX-License-Identifier: Apache-2.0
"""The gRPC server: our service, health and reflection, with every channel setting written down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from imagier.v1 import annotator_pb2, annotator_pb2_grpc

from imagier_server.transport.interceptors import CallInterceptor

SERVICE = annotator_pb2.DESCRIPTOR.services_by_name["AnnotatorService"].full_name
LIVENESS = "liveness"
"""Health service name that is SERVING as long as the event loop turns."""
CONNECTION_AGE_SECONDS = 5 * 60
"""Clients that balance by a DNS name look it up again only when a connection ends: so long may a new gateway stay idle."""

_READINESS_INTERVAL = 0.5
_GOODBYE_SECONDS = 0.5  # for the last answers to leave
_MIB = 1 << 20


class Health(Protocol):
    """What we use of the health servicer."""

    async def set(self, service: str, status: health_pb2.HealthCheckResponse.ServingStatus.ValueType) -> None: ...


@dataclass(frozen=True, slots=True)
class GrpcServer:
    """A server that listens. `port` is the real one."""

    server: grpc.aio.Server
    calls: CallInterceptor
    health: Health
    port: int

    async def stop(self, grace: float) -> None:
        """Says NOT_SERVING, refuses new calls, and gives those under way `grace` seconds. Liveness stays as it is.

        Connections are told to go elsewhere (HTTP/2's GOAWAY). Who watches health does not hold up the end.
        """
        await _publish(self.health, ready=False)
        stopping = asyncio.create_task(self.server.stop(grace))
        idle = asyncio.create_task(self.calls.idle())
        await asyncio.wait({stopping, idle}, return_when=asyncio.FIRST_COMPLETED)
        idle.cancel()
        await self.server.stop(min(grace, _GOODBYE_SECONDS))
        await stopping


@asynccontextmanager
async def listening(
    address: tuple[str, int],
    service: annotator_pb2_grpc.AnnotatorServiceServicer,
    ready: Callable[[], bool],
    *,
    image_bytes: int,
    connection_streams: int,
    grace: float,
) -> AsyncIterator[GrpcServer]:
    """Serves until the block ends, then drains for `grace` seconds. `ready` feeds the health service twice a second.

    Raises `OSError` if the address is taken.
    """
    calls = CallInterceptor()
    server = grpc.aio.server(interceptors=[calls], options=_options(image_bytes, connection_streams))
    annotator_pb2_grpc.add_AnnotatorServiceServicer_to_server(service, server)
    health_servicer = health.aio.HealthServicer()  # type: ignore[attr-defined]  # unknown to the published stubs
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    reflection.enable_server_reflection([SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME], server)
    try:
        port = server.add_insecure_port(f"{address[0]}:{address[1]}")
    except RuntimeError as error:
        raise OSError(f"cannot listen on {address[0]}:{address[1]}") from error
    await health_servicer.set(LIVENESS, health_pb2.HealthCheckResponse.SERVING)
    await _publish(health_servicer, ready=ready())
    await server.start()
    running = GrpcServer(server, calls, health_servicer, port)
    readiness = asyncio.create_task(_watch(health_servicer, ready))
    try:
        yield running
    finally:
        readiness.cancel()
        await running.stop(grace)


async def _watch(servicer: Health, ready: Callable[[], bool]) -> None:
    while True:
        await _publish(servicer, ready=ready())  # who watches hears of changes only
        await asyncio.sleep(_READINESS_INTERVAL)


async def _publish(servicer: Health, *, ready: bool) -> None:
    status = health_pb2.HealthCheckResponse.SERVING if ready else health_pb2.HealthCheckResponse.NOT_SERVING
    for name in (health.OVERALL_HEALTH, SERVICE):
        await servicer.set(name, status)


def _options(image_bytes: int, connection_streams: int) -> list[tuple[str, Any]]:
    options: Mapping[str, int] = {
        # Twice the picture's cap, so that our own clear check speaks first; gRPC's refusal looks like an overload.
        "grpc.max_receive_message_length": 2 * image_bytes,
        "grpc.max_send_message_length": 64 * _MIB,
        "grpc.max_concurrent_streams": connection_streams,
        "grpc.max_metadata_size": 16 * 1024,
        # Pictures do not compress, and a compressed message could expand a thousandfold: accept identity only.
        "grpc.compression_enabled_algorithms_bitset": 1,
        "grpc.keepalive_time_ms": 60_000,
        "grpc.keepalive_timeout_ms": 20_000,
        "grpc.http2.min_recv_ping_interval_without_data_ms": 10_000,
        "grpc.max_connection_age_ms": CONNECTION_AGE_SECONDS * 1000,
        # A stream of a whole library may go on for so long on the connection that it has.
        "grpc.max_connection_age_grace_ms": 35 * 60_000,
        # Two servers on one port would each get half of the connections, unseen.
        "grpc.so_reuseport": 0,
    }
    return list(options.items())
