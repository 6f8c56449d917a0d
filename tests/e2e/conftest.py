# SPDX-License-Identifier: Apache-2.0
"""The real thing: `imagier serve` with the embedded Triton and the models that `imagier models install` installed."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from imagier.v1 import annotator_pb2_grpc
from support.real_server import Server, encoded, serve


@pytest.fixture(scope="session")
def server(free_port_for_session: int) -> Iterator[Server]:
    with (
        tempfile.TemporaryDirectory() as folder,
        serve(Path(folder), free_port_for_session, "--http-facades", "all") as running,
    ):
        yield running


@pytest.fixture(scope="session")
def free_port_for_session() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def stub(server: Server) -> Iterator[annotator_pb2_grpc.AnnotatorServiceStub]:
    with grpc.insecure_channel(server.address, options=[("grpc.max_receive_message_length", -1)]) as channel:
        yield annotator_pb2_grpc.AnnotatorServiceStub(channel)


@pytest.fixture(scope="session")
def photographs() -> dict[str, bytes]:
    """scikit-image's bundled pictures, as PNG files."""
    from skimage import data

    return {
        name: encoded(getattr(data, name)())
        for name in ("astronaut", "chelsea", "coffee", "rocket", "hubble_deep_field", "page")
    }
