# SPDX-License-Identifier: Apache-2.0
"""Who is measured by `make bench`: our server, and its peers in environments of their own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import environments
import grpc
import numpy as np
import psutil
from imagier.v1 import annotator_pb2, annotator_pb2_grpc
from imagier_server import embedded
from imagier_server.cores import usable_cores
from imagier_server.decode.decoder import decode
from imagier_server.decode.formats import sniff
from imagier_server.decode.refusals import Caps
from imagier_server.messages import Picture, Tensors
from loads import Send
from servers import gateway, server
from tritonclient.grpc import service_pb2, service_pb2_grpc

PROGRAMS = Path(__file__).parent / "programs"
_START_SECONDS = 120.0
_ANSWER_SECONDS = 600.0  # on a busy machine, text takes long; without one, the server has a deadline of its own
_CHANNEL = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


@dataclass(frozen=True)
class Contender:
    """`sends` makes a sender of each file. `read`: characters of text in the answers, a list that grows, if it reads text.

    A `restless` one polls while it has nothing to do.
    """

    name: str
    processes: Sequence[psutil.Process]
    sends: Callable[[Sequence[Path]], list[Send]]
    read: list[int] = field(default_factory=list)
    restless: bool = False


@dataclass(frozen=True)
class Ours:
    """Our server: `processes` are the gateway with its decoders, and Triton with all models loaded."""

    address: str
    stub: Any
    triton: embedded.EmbeddedTriton
    gateway: psutil.Process
    engine: psutil.Process

    @property
    def processes(self) -> tuple[psutil.Process, ...]:
        """Of the server side."""
        return self.gateway, self.engine

    def contender(self, *wanted: annotator_pb2.AnnotateRequest, name: str = "imagier") -> Contender:
        """Ask for these tasks: a request for each of `wanted`, one after another, whose other fields are the tasks."""
        read: list[int] = []

        async def send(requests: Sequence[annotator_pb2.AnnotateRequest]) -> None:
            for request in requests:
                answer = await self.stub.Annotate(request, timeout=_ANSWER_SECONDS)
                if answer.cost == 0:
                    raise SystemExit("a task failed under load")
                if request.HasField("ocr"):
                    read.append(sum(len(line.text) for line in answer.ocr.lines))

        def sends(paths: Sequence[Path]) -> list[Send]:
            made = []
            for path in paths:
                requests = [annotator_pb2.AnnotateRequest(image=path.read_bytes()) for _ in wanted]
                for request, tasks in zip(requests, wanted, strict=True):
                    request.MergeFrom(tasks)
                made.append(partial(send, requests))
            return made

        return Contender(name, self.processes, sends, read)

    def alone(
        self,
        channel: grpc.aio.Channel,
        model: str,
        scale: Callable[[int, int], float],
        prepare: Callable[[Picture], Tensors],
    ) -> Contender:
        """Triton without our gateway: the model gets pixels that are ready, so it decodes nothing."""
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)

        def sends(paths: Sequence[Path]) -> list[Send]:
            made: list[Send] = []
            for path in paths:
                request = service_pb2.ModelInferRequest(model_name=model)
                for name, tensor in prepare(opened(path, scale)).items():
                    request.inputs.add(name=name, datatype="UINT8", shape=tensor.shape)
                    request.raw_input_contents.append(tensor.tobytes())
                made.append(partial(stub.ModelInfer, request))
            return made

        return Contender("Triton alone", (self.engine,), sends)


def opened(path: Path, scale: Callable[[int, int], float]) -> Picture:
    """The picture as our decoder gives it to a task."""
    image = path.read_bytes()
    pixels, width, height, _ = decode(image, sniff(image), Caps(10**9, 10**5), scale)
    return Picture(np.asarray(pixels), width, height)


@asynccontextmanager
async def ours(repository: Path) -> AsyncIterator[Ours]:
    """Run our server, all models loaded."""
    async with (
        server(repository) as (address, engine, process),
        grpc.aio.insecure_channel(address, options=_CHANNEL) as channel,
    ):
        stub = annotator_pb2_grpc.AnnotatorServiceStub(channel)
        yield Ours(address, stub, engine, process, psutil.Process(engine.pid))


@asynccontextmanager
async def front_end(repository: Path, engine: embedded.EmbeddedTriton) -> AsyncIterator[Contender]:
    """Run a further gateway with the task that does nothing (noop/imagier_noop.py), which no other gateway sees."""
    module = PROGRAMS.parent / "noop"
    sys.path.insert(0, str(module))
    import imagier_noop

    wanted = annotator_pb2.AnnotateRequest()
    wanted.extensions.add().Pack(imagier_noop.Options())
    with tempfile.TemporaryDirectory() as folder:
        info = Path(folder) / "imagier_noop-0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: imagier-noop\nVersion: 0\n", "ascii")
        (info / "entry_points.txt").write_text(
            "[imagier.tasks]\nnoop = imagier_noop:NoopTask\n[imagier.task_codecs]\nnoop = imagier_noop:CODEC\n", "ascii"
        )
        async with (
            gateway(repository, engine.grpc_address, path=os.pathsep.join([str(module), folder])) as (address, process),
            grpc.aio.insecure_channel(address, options=_CHANNEL) as channel,
        ):
            stub = annotator_pb2_grpc.AnnotatorServiceStub(channel)
            yield replace(Ours(address, stub, engine, process, process).contender(wanted), processes=(process,))


@asynccontextmanager
async def litserve(graph: str, side: int = 1, shorter: int = 1) -> AsyncIterator[Contender]:
    """Run LitServe with that graph, or `noop`: a worker a core. Pictures go as a form, which it parses itself."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [environments.python("litserve"), PROGRAMS / "litserve_tagger.py", graph, "--port", str(port)]
    command += ["--workers", str(usable_cores()), "--side", str(side), "--shorter", str(shorter)]
    # A group of its own: LitServe's processes outlive the first of them.
    process = subprocess.Popen(  # noqa: ASYNC220 - it starts in a millisecond
        list(map(str, command)), start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        # While it is stopped between its turns, its server's time for idle connections (5 s) passes.
        connector = aiohttp.TCPConnector(keepalive_timeout=2.0)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", connector=connector) as session:
            await _answering(session, process)

            async def send(image: bytes) -> None:
                form = aiohttp.FormData()
                form.add_field("image", image, filename="picture.jpg", content_type="image/jpeg")
                async with session.post("/predict", data=form) as answer:
                    if answer.status != 200:
                        raise SystemExit("LitServe failed under load")
                    await answer.read()

            yield Contender(
                "LitServe",
                (psutil.Process(process.pid),),
                lambda paths: [partial(send, path.read_bytes()) for path in paths],
                restless=True,
            )
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await asyncio.to_thread(process.wait)


async def _answering(session: aiohttp.ClientSession, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(aiohttp.ClientError):
            async with session.get("/health") as answer:
                if answer.status == 200:
                    return
        await asyncio.sleep(0.25)
    raise SystemExit("LitServe did not start")


LIBRARIES: Mapping[str, tuple[str, str, str]] = {
    "RapidOCR": ("rapidocr", "rapidocr", "onnxruntime"),
    "RapidOCR, OpenVINO": ("rapidocr-openvino", "rapidocr", "openvino"),
    "faster-paddle small": ("faster-paddle", "faster-paddle", "small"),
    "faster-paddle tiny": ("faster-paddle", "faster-paddle", "tiny"),
}
"""Environment, library and variant by name."""


@asynccontextmanager
async def library(name: str) -> AsyncIterator[Contender]:
    """Run an OCR library in a process of its own, one picture at a time, with its own threads."""
    peer, package, variant = LIBRARIES[name]
    process = await asyncio.create_subprocess_exec(
        environments.python(peer),
        PROGRAMS / "ocr_library.py",
        package,
        variant,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    reader, writer = process.stdout, process.stdin
    assert reader is not None
    assert writer is not None
    read: list[int] = []

    async def send(path: Path) -> None:
        writer.write(f"{path}\n".encode())
        await writer.drain()
        line = await reader.readline()
        if not line:
            raise SystemExit(f"{name} failed")
        read.append(json.loads(line)["characters"])

    try:
        if await reader.readline() != b"ready\n":
            raise SystemExit(f"{name} did not start")
        yield Contender(name, (psutil.Process(process.pid),), lambda paths: [partial(send, p) for p in paths], read)
    finally:
        writer.close()
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
