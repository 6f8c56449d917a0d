# SPDX-License-Identifier: Apache-2.0
"""Second stage of the embedded engine: start Triton, wait until every model is warm, stop it."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import secrets
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from imagier_server.embedded.scratch import Scratch, scratch
from imagier_server.embedded.wheel import TRITON_VERSION, EmbeddedError, Wheel, find

logger = logging.getLogger(__name__)

LAUNCHER = Path(__file__).with_name("launcher.py")
MODEL = Path(__file__).parent / "onnxruntime_backend" / "model.py"
HOST = "127.0.0.1"
EXIT_TIMEOUT_SECONDS = 10  # what Triton gives requests in flight
KILL_SECONDS = EXIT_TIMEOUT_SECONDS + 5
PROGRESS_SECONDS = 2.0
START_ATTEMPTS = 3  # another process may take a port between our choice and Triton's use of it
# Of each model instance's shared memory. Batches pass through it; it grows when one does not fit, and never shrinks.
SHM_BYTES = 4 << 20
# For a model instance's process to load its graph. On a busy machine Triton's own 30 s are too few, and it then waits for ever
# for the end of a process that waits for it.
STUB_SECONDS = 600
LOG_BYTES = 1 << 20  # a start writes some kilobytes


@dataclass(frozen=True, slots=True)
class EmbeddedTriton:
    """A running Triton, ready: every model loaded and warm."""

    grpc_address: str  # "127.0.0.1:PORT"
    metrics_address: str  # "127.0.0.1:PORT" of its Prometheus metrics
    pid: int
    process: asyncio.subprocess.Process = field(repr=False)

    async def wait(self) -> int:
        """Return Triton's exit status when it ends, whoever ended it; negative: the signal that did. May be awaited often."""
        return await self.process.wait()


@dataclass(frozen=True, slots=True)
class TritonLog:
    """The file that Triton writes to, and where this run begins in it."""

    file: BinaryIO
    begin: int

    def text(self) -> str:
        return os.pread(self.file.fileno(), LOG_BYTES, self.begin).decode(errors="replace")


@asynccontextmanager
async def start(
    model_repository: Path,
    log_dir: Path | None = None,
    models: Sequence[str] | None = None,
    on_progress: Callable[[str], None] = lambda _: None,
) -> AsyncIterator[EmbeddedTriton]:
    """Run Triton on the models named (None: all that have a graph) for the time of the `async with`.

    It ends with this process in any case. The thread that enters must live as long as the engine: the kernel ends Triton with it.
    Triton's log goes to `log_dir`, or is kept only while it runs. Raises EmbeddedError: this machine cannot run it, a model is
    missing or does not load.
    """
    wheel = find()
    with scratch() as place:
        names = compose(place.path, wheel, model_repository, models)
        with open_log(log_dir or place.path) as log:
            engine = await _start(wheel, place, log, len(names), on_progress)
        logger.info(
            "embedded Triton %s (older than the security fixes of 2025) listens on loopback only: gRPC %s, metrics %s",
            TRITON_VERSION,
            engine.grpc_address,
            engine.metrics_address,
        )
        try:
            yield engine
        finally:
            await _stop(engine.process)


def compose(folder: Path, wheel: Wheel, model_repository: Path, models: Sequence[str] | None) -> list[str]:
    """Fill `folder` with links: `backends/` of Triton's and our parts, `models/` chosen, `lib/`. Returns the models' names."""
    chosen = (
        sorted(path.parents[1].name for path in model_repository.glob("*/1/model.onnx"))
        if models is None
        else list(models)
    )
    missing = [name for name in chosen if not (model_repository / name / "config.pbtxt").is_file()]
    if missing or not chosen:
        raise EmbeddedError(
            f"No {', '.join(missing) or 'model'} in {model_repository}: run `imagier models install` first."
        )
    links = {folder / "models" / name: (model_repository / name).resolve() for name in chosen}
    # Triton refuses a library that a link leads out of its backend's folder, so there the folder is the link.
    links[folder / "backends" / "python"] = wheel.python_backend
    for part in (MODEL, wheel.stub, wheel.python_backend / "triton_python_backend_utils.py"):
        links[folder / "backends" / "onnxruntime" / part.name] = part
    if wheel.libpython:
        links[folder / "lib" / wheel.libpython.name] = wheel.libpython
    for link, target in links.items():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)
    return chosen


@contextmanager
def open_log(folder: Path) -> Iterator[TritonLog]:
    """Append to `folder`/triton.log, which only its owner may read."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "triton.log", "a+b", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        yield TritonLog(file, file.seek(0, os.SEEK_END))


def command(wheel: Wheel, place: Scratch, grpc_port: int, metrics_port: int) -> list[str]:
    """Triton's command line: loopback, no HTTP, nothing that changes models, reads client memory or traces."""
    # What only an operator needs is locked with a key that nobody has: this release cannot switch it off.
    unused = "shared-memory,model-repository,trace,logging"
    return [
        str(wheel.server),
        f"--id={place.path.name}",
        f"--model-repository={place.path / 'models'}",
        "--model-control-mode=none",
        "--disable-auto-complete-config",
        "--strict-readiness=true",
        "--exit-on-error=true",
        f"--exit-timeout-secs={EXIT_TIMEOUT_SECONDS}",
        f"--backend-directory={place.path / 'backends'}",
        f"--backend-config=python,shm-region-prefix-name={place.region_prefix}",
        f"--backend-config=python,shm-default-byte-size={SHM_BYTES}",
        f"--backend-config=python,shm-growth-byte-size={SHM_BYTES}",
        f"--backend-config=python,stub-timeout-seconds={STUB_SECONDS}",
        "--allow-http=false",
        f"--grpc-address={HOST}",
        f"--grpc-port={grpc_port}",
        f"--grpc-restricted-protocol={unused}:nobody={secrets.token_hex(16)}",
        f"--metrics-address={HOST}",
        f"--metrics-port={metrics_port}",
        "--log-verbose=0",
    ]


def environment(inherited: dict[str, str], wheel: Wheel, place: Scratch) -> dict[str, str]:
    """Ours, with Triton's libraries, and this interpreter first on PATH: the stub imports the packages of the first python3."""
    libraries = [str(wheel.libraries), str(place.path / "lib"), inherited.get("LD_LIBRARY_PATH", "")]
    path = [str(Path(sys.executable).parent), inherited.get("PATH", os.defpath)]
    return {
        **inherited,
        "LD_LIBRARY_PATH": os.pathsep.join(filter(None, libraries)),
        "PATH": os.pathsep.join(path),
    }


async def _start(
    wheel: Wheel, place: Scratch, log: TritonLog, models: int, on_progress: Callable[[str], None]
) -> EmbeddedTriton:
    for _ in range(START_ATTEMPTS):
        grpc_port, metrics_port = _free_ports(2)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-IS",
            str(LAUNCHER),
            str(os.getpid()),
            str(place.path),
            str(place.lock),
            *command(wheel, place, grpc_port, metrics_port),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log.file,
            stderr=log.file,
            env=environment(dict(os.environ), wheel, place),
            # The model instances look for modules where they run; beside somebody's pictures may lie anything.
            cwd=place.path,
            pass_fds=(place.lock,),
            start_new_session=True,  # a Ctrl-C at the terminal is the gateway's to handle
        )
        engine = EmbeddedTriton(f"{HOST}:{grpc_port}", f"{HOST}:{metrics_port}", process.pid, process)
        try:
            if await _ready(engine, place.path.name, log, models, on_progress):
                place.close_regions()
                return engine
        except BaseException:
            await _stop(process)
            raise
        await _stop(process)
        if "already in use" not in log.text():
            break
    raise EmbeddedError(f"The embedded Triton ended while it started: {explain(log.text())}")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


async def _ready(
    engine: EmbeddedTriton, server_id: str, log: TritonLog, models: int, on_progress: Callable[[str], None]
) -> bool:
    """True when Triton reports every model ready, False when it has ended. Its ports open after the last model only.

    Another server that took the port meanwhile may be ready too: only ours knows its id.
    """
    began = told = time.monotonic()
    options = [
        ("grpc.enable_http_proxy", 0),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 200),
    ]
    async with grpc.aio.insecure_channel(engine.grpc_address, options=options) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        # Its request is empty, and its answer holds the id: no need of Triton's own messages.
        metadata = channel.unary_unary("/inference.GRPCInferenceService/ServerMetadata", None, None)
        while engine.process.returncode is None:
            with suppress(grpc.aio.AioRpcError):
                ours = server_id.encode() in await metadata(b"", timeout=1.0)
                reply = await health.Check(health_pb2.HealthCheckRequest(), timeout=1.0)
                if ours and reply.status == health_pb2.HealthCheckResponse.SERVING:
                    return True
            if time.monotonic() - told >= PROGRESS_SECONDS:
                told = time.monotonic()
                loaded = log.text().count("successfully loaded '")
                on_progress(f"Triton: {loaded} of {models} models loaded, {told - began:.0f} s")
            await asyncio.sleep(0.1)
    return False


def explain(log: str) -> str:
    r"""What Triton's log says of the models that failed, one line each; else its last lines.

    A line of it: `E1121 04:41:35.729828 13154 model_lifecycle.cc:642] "failed to load 'tiny' version 1: Internal: text\n\nAt:..."`
    """
    failures = re.findall(r"\"(failed to load '.+?' version .+?)(?:\\n|\"$)", log, re.MULTILINE)
    return "; ".join(dict.fromkeys(failures)) or "\n".join(log.splitlines()[-10:]) or "its log is empty"


async def _stop(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    with suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), KILL_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # Triton if it hangs, and stubs that outlived it
    await process.wait()
