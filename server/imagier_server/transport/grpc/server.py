# SPDX-License-Identifier: Apache-2.0
"""The gRPC server: our service, health and reflection, with every channel setting written down."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from imagier.v1 import account_pb2, account_pb2_grpc, annotator_pb2, annotator_pb2_grpc

from imagier_server import endpoints
from imagier_server.settings import Settings
from imagier_server.transport.certificates import Certificates, Material
from imagier_server.transport.grpc.incoming import Incoming, message_bytes
from imagier_server.transport.grpc.interceptors import GRPC_LOGGER, CallInterceptor, is_of_note

SERVICE = annotator_pb2.DESCRIPTOR.services_by_name["AnnotatorService"].full_name
ACCOUNTS = account_pb2.DESCRIPTOR.services_by_name["AccountService"].full_name
LIVENESS = "liveness"
"""Health service name that is SERVING while the event loop runs."""
CONNECTION_AGE_SECONDS = 5 * 60
"""Maximum age of a connection: clients resolve DNS names again only when a connection ends, and find new gateways then."""

PING_LEAST_MS = 5_000
"""Minimum interval of clients' pings."""

_READINESS_INTERVAL = 0.5
_GOODBYE_SECONDS = 0.5  # for sending the last answers
_BEGIN_SECONDS = 0.1  # for the beginning of a TLS handshake, which takes microseconds
_MIB = 1 << 20


class Health(Protocol):
    """What we use of the health servicer."""

    async def set(self, service: str, status: health_pb2.HealthCheckResponse.ServingStatus.ValueType) -> None: ...


@dataclass(frozen=True, slots=True)
class Services:
    """The services of the contract."""

    annotator: annotator_pb2_grpc.AnnotatorServiceServicer
    accounts: account_pb2_grpc.AccountServiceServicer


@dataclass(frozen=True, slots=True)
class GrpcServer:
    """A listening server. `port` is the actual one; `idle` returns when nothing is in flight."""

    server: grpc.aio.Server
    health: Health
    port: int
    idle: Callable[[], Awaitable[None]]

    async def stop(self, grace: float) -> None:
        """Set health to NOT_SERVING, refuse new calls, and give those in flight `grace` seconds. Liveness is unchanged.

        Connections get HTTP/2's GOAWAY. Open health watches do not delay the end.
        """
        await _publish(self.health, ready=False)
        stopping = asyncio.create_task(self.server.stop(grace))
        idle = asyncio.ensure_future(self.idle())
        await asyncio.wait({stopping, idle}, return_when=asyncio.FIRST_COMPLETED)
        idle.cancel()
        if grace > _GOODBYE_SECONDS:  # two stops of the same length at once crash gRPC
            await self.server.stop(_GOODBYE_SECONDS)
        await stopping


@asynccontextmanager
async def listening(
    services: Services,
    ready: Callable[[], bool],
    idle: Callable[[], Awaitable[None]],
    incoming: Incoming,
    settings: Settings,
    certificates: Certificates | None = None,
) -> AsyncIterator[GrpcServer]:
    """Serve until the block ends, then drain. `ready` feeds the health service twice a second; `idle` ends the drain early.

    With `certificates`, by TLS, health included.
    Raises `OSError` if the address is taken.
    """
    logging.getLogger(GRPC_LOGGER).addFilter(is_of_note)
    server = grpc.aio.server(interceptors=[CallInterceptor(incoming)], options=_options(settings))
    annotator_pb2_grpc.add_AnnotatorServiceServicer_to_server(services.annotator, server)
    account_pb2_grpc.add_AccountServiceServicer_to_server(services.accounts, server)
    health_servicer = health.aio.HealthServicer()  # type: ignore[attr-defined]  # unknown to the published stubs
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    if settings.reflection:
        reflection.enable_server_reflection([SERVICE, ACCOUNTS, health.SERVICE_NAME, reflection.SERVICE_NAME], server)
    address = endpoints.joined(settings.host, settings.port)
    try:
        with endpoints.owner_and_group():
            port = (
                server.add_secure_port(address, _credentials(certificates))
                if certificates
                else server.add_insecure_port(address)
            )
    except RuntimeError as error:
        raise OSError(f"cannot listen on {address}") from error
    await health_servicer.set(LIVENESS, health_pb2.HealthCheckResponse.SERVING)
    await _publish(health_servicer, ready=ready())
    await server.start()
    running = GrpcServer(server, health_servicer, port, idle)
    readiness = asyncio.create_task(_watch(health_servicer, ready))
    try:
        yield running
    finally:
        readiness.cancel()
        await running.stop(settings.drain_seconds)


def _credentials(certificates: Certificates) -> grpc.ServerCredentials:
    """What gRPC shows and demands; it asks again before each handshake."""
    used = certificates.current()

    def changed() -> grpc.ServerCertificateConfiguration | None:
        nonlocal used
        if (now := certificates.current()) is used:
            return None
        used = now
        # gRPC frees the old files without waiting for handshakes that begin to use them (grpc/grpc#36693). New handshakes wait for
        # this function, in threads of gRPC's own; it lets the others pass.
        time.sleep(_BEGIN_SECONDS)
        return _configuration(now)

    # None means unchanged, which the published stubs do not know.
    return grpc.dynamic_ssl_server_credentials(_configuration(used), changed, used.client_ca is not None)  # type: ignore[arg-type]


def _configuration(material: Material) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(material.key, material.certificate)], material.client_ca)


async def _watch(servicer: Health, ready: Callable[[], bool]) -> None:
    while True:
        await _publish(servicer, ready=ready())  # watchers get changes only
        await asyncio.sleep(_READINESS_INTERVAL)


async def _publish(servicer: Health, *, ready: bool) -> None:
    status = health_pb2.HealthCheckResponse.SERVING if ready else health_pb2.HealthCheckResponse.NOT_SERVING
    for name in (health.OVERALL_HEALTH, SERVICE):
        await servicer.set(name, status)


_PENDING = 16_384
_PENDING_SECONDS = 300


def _options(settings: Settings) -> list[tuple[str, Any]]:
    options: Mapping[str, int] = {
        # gRPC refuses a longer one as soon as it has read its length.
        "grpc.max_receive_message_length": message_bytes(settings),
        # Bytes that a caller may send before they are read: HTTP/2's minimum, also for fast connections.
        "grpc.http2.lookahead_bytes": 65_535,
        "grpc.http2.bdp_probe": 0,
        # Slices small enough for the heap, where they are measured.
        "grpc.experimental.tcp_max_read_chunk_size": 64 * 1024,
        "grpc.max_allowed_incoming_connections": settings.connections,
        "grpc.server_handshake_timeout_ms": 10_000,
        # Calls received but not yet seen by our event loop. Beyond these limits gRPC cancels calls without a word; we refuse them.
        "grpc.server.max_pending_requests": _PENDING,
        "grpc.server.max_pending_requests_hard_limit": _PENDING,
        "grpc.server_max_unrequested_time_in_server": _PENDING_SECONDS,
        "grpc.max_send_message_length": 64 * _MIB,
        "grpc.max_concurrent_streams": settings.connection_streams,
        "grpc.max_metadata_size": 16 * 1024,
        # Pictures do not compress, and a compressed message could expand a thousandfold: accept identity only.
        "grpc.compression_enabled_algorithms_bitset": 1,
        "grpc.keepalive_time_ms": 60_000,
        "grpc.keepalive_timeout_ms": 20_000,
        # Clients that ping every ten seconds are common, with or without calls; a slightly early ping is not a flood.
        "grpc.http2.min_ping_interval_without_data_ms": PING_LEAST_MS,
        "grpc.keepalive_permit_without_calls": 1,
        "grpc.max_connection_age_ms": CONNECTION_AGE_SECONDS * 1000,
        # How long a stream may continue on an aged connection.
        "grpc.max_connection_age_grace_ms": 35 * 60_000,
        # Two servers on one port would silently share the connections.
        "grpc.so_reuseport": 0,
    }
    return list(options.items())
