# SPDX-License-Identifier: Apache-2.0
"""The gateway over real gRPC, with real decoders, as a caller meets it; and what a test asks of its answers."""

from __future__ import annotations

import asyncio
import io
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from imagier.v1 import annotator_pb2, annotator_pb2_grpc, ocr_pb2, tags_pb2
from imagier_server import app
from imagier_server.settings import Settings
from PIL import Image


def picture(fmt: str = "JPEG", size: tuple[int, int] = (640, 480)) -> bytes:
    """Something with shades: a tagger is not asked about plain paper."""
    file = io.BytesIO()
    shade, round_shade = Image.linear_gradient("L"), Image.radial_gradient("L")
    Image.merge("RGB", (shade, round_shade, shade.rotate(90))).resize(size).save(file, fmt)
    return file.getvalue()


def tags_and_text(image: bytes, request_id: str = "") -> annotator_pb2.AnnotateRequest:
    return annotator_pb2.AnnotateRequest(
        image=image, request_id=request_id, tags=tags_pb2.TagsOptions(), ocr=ocr_pb2.OcrOptions()
    )


def details(status: status_pb2.Status) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for packed in status.details:
        detail = getattr(error_details_pb2, packed.type_url.rsplit(".")[-1])()
        packed.Unpack(detail)
        found[type(detail).__name__] = detail
    return found


def status_of(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    return status_pb2.Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])


class Gateway:
    """A running gateway, as a caller sees it."""

    def __init__(self, address: str, channel: grpc.aio.Channel, metrics_port: int, http: str | None = None) -> None:
        self.address = address
        self.http = f"http://{http}"
        self.channel = channel
        self.stub = annotator_pb2_grpc.AnnotatorServiceStub(channel)
        self.health = health_pb2_grpc.HealthStub(channel)
        self.metrics_port = metrics_port

    async def ready(self, service: str = "") -> bool:
        answer = await self.health.Check(health_pb2.HealthCheckRequest(service=service))
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    async def until(self, ready: bool) -> None:
        watch = self.health.Watch(health_pb2.HealthCheckRequest(service=""))
        try:
            async with asyncio.timeout(10):
                async for answer in watch:
                    if (answer.status == health_pb2.HealthCheckResponse.SERVING) is ready:
                        return
        finally:
            watch.cancel()  # until it ends, it takes part of this connection's share

    async def metric(self, line: str) -> float:
        return (await self.samples())[line]

    async def samples(self) -> dict[str, float]:
        """Every sample by its line in the exposition: name{label="value",…}."""
        text = await asyncio.to_thread(self._scrape)
        rows = (row.rsplit(" ", 1) for row in text.splitlines() if not row.startswith("#"))
        return {line: float(value) for line, value in rows}

    def _scrape(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics") as answer:
            return str(answer.read().decode())


@asynccontextmanager
async def gateway(
    repository: Path,
    engine_port: int,
    unused_tcp_port: int,
    *,
    credentials: grpc.ChannelCredentials | None = None,
    **overrides: Any,
) -> AsyncIterator[Gateway]:
    """`credentials` are the caller's, for a server with TLS."""
    defaults = {
        "engine": f"127.0.0.1:{engine_port}",
        "model_repository": repository,
        "port": 0,
        "metrics_port": unused_tcp_port,
        "drain_seconds": 1.0,
    }
    settings = Settings(**(defaults | overrides))
    options = [("grpc.enable_retries", 0)]
    async with (
        app.running(settings) as addresses,
        grpc.aio.secure_channel(addresses.grpc, credentials, options)
        if credentials
        else grpc.aio.insecure_channel(addresses.grpc, options) as channel,
    ):
        running = Gateway(addresses.grpc, channel, unused_tcp_port, addresses.http)
        yield running
