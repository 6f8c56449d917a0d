# SPDX-License-Identifier: Apache-2.0
"""Second stage of the embedded engine: start Triton, wait until every model is warm, stop it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from imagier_server import no_telemetry, request_ids
from imagier_server.embedded import model_processes
from imagier_server.embedded.scratch import Scratch, scratch
from imagier_server.embedded.triton_log import TritonLog, explain, failures, open_log, reason
from imagier_server.embedded.wheel import TRITON_VERSION, EmbeddedError, Wheel, find

logger = logging.getLogger(__name__)

CONFIG = "config.pbtxt"
LAUNCHER = Path(__file__).with_name("launcher.py")
BACKEND = Path(__file__).parent / "onnxruntime_backend"
HOST = "127.0.0.1"
EXIT_TIMEOUT_SECONDS = 10  # what Triton gives requests in flight
KILL_SECONDS = EXIT_TIMEOUT_SECONDS + 5
PROGRESS_SECONDS = 2.0
# Another process may take the port before Triton does; and on a busy machine Triton sometimes aborted at its start over
# a lock in shared memory (boost::interprocess::lock_exception).
START_ATTEMPTS = 3
# Of each model instance's shared memory, taken at the start. Batches pass through it; it grows when one does not fit, and never
# shrinks. The largest take 4 MiB in and out (a detector's canvas of 1024 pixels square, 16 pictures of the tagger), and up to
# three times as much was seen, for the results of one are still there when the next comes. So it does not grow while in use.
SHM_BYTES = 16 << 20
# For a model instance's process to load its graph. On a busy machine Triton's own 30 s are too few, and it then waits for ever
# for the end of a process that waits for it.
STUB_SECONDS = 600
STUCK_SECONDS = 3.0  # Triton starts some model instances twice, so a single exit is harmless
# Variables that Triton inherits: paths of the system, CUDA and Python packages, locale, threads, memory allocation, and Triton's
# own. All others may hold secrets.
NEEDED = {"HOME", "LANG", "TZ", "TMPDIR", "LD_PRELOAD", "GLIBC_TUNABLES", "NVIDIA_TF32_OVERRIDE"}
NEEDED_PREFIXES = ("LC_", "CUDA_", "OMP_", "MALLOC_", "PYTHON", "TRITONSERVER_")


@dataclass(frozen=True, slots=True)
class EmbeddedTriton:
    """A running Triton, ready: every model loaded and warm."""

    grpc_address: str  # "unix:PATH", for gRPC's channels; only this user can connect to it
    metrics_address: str  # "127.0.0.1:PORT" of its Prometheus metrics
    pid: int
    process: asyncio.subprocess.Process = field(repr=False)
    log: TritonLog = field(repr=False)

    async def wait(self) -> int:
        """Return Triton's exit status when it exits; negative for a signal. May be awaited repeatedly."""
        return await self.process.wait()

    def kill(self) -> None:
        """End Triton at once; its model processes follow."""
        _signal(self.process, signal.SIGKILL)

    def last_words(self) -> list[str]:
        """The last warnings and errors of its log. They hold no picture data."""
        return self.log.end()


@asynccontextmanager
async def start(
    model_repository: Path,
    log_dir: Path | None = None,
    models: Sequence[str] | None = None,
    on_progress: Callable[[str], None] = lambda _: None,
    configs: Mapping[str, str] = MappingProxyType({}),
    grpc_port: tuple[str, int] | None = None,
) -> AsyncIterator[EmbeddedTriton]:
    """Run Triton on the models named (None: all that have a graph) for the time of the `async with`.

    Triton ends with this process in any case, and with the thread that enters. Its log goes to `log_dir`, or is deleted at the
    end. `configs` replace the config.pbtxt of the models that they name. Raises EmbeddedError if this machine cannot run it, or
    a model is missing or does not load.

    Tests and benchmarks with a separate gateway process pass a `grpc_port` (IP address, port), to which any user of the
    machine can connect; the server itself never does.
    """
    wheel = find()
    with scratch() as place:
        names = compose(place.path, wheel, model_repository, models, configs)
        with open_log(log_dir or place.path) as log:
            engine = await _start(wheel, place, log, len(names), on_progress, grpc_port)
            logger.info(
                "embedded Triton %s (older than the security fixes of 2025) serves gRPC to this user only: %s; metrics %s",
                TRITON_VERSION,
                engine.grpc_address,
                engine.metrics_address,
            )
            try:
                yield engine
            finally:
                await _stop(engine.process)


def compose(
    folder: Path,
    wheel: Wheel,
    model_repository: Path,
    models: Sequence[str] | None,
    configs: Mapping[str, str] = MappingProxyType({}),
) -> list[str]:
    """Fill `folder` with links: `backends/` (Triton's and ours), the chosen `models/`, `lib/`. Returns the models' names.

    Only a model's config.pbtxt is a file: its own, or the one in `configs`, with the output that returns the request's id.
    """
    chosen = (
        sorted(path.parents[1].name for path in model_repository.glob("*/1/model.onnx"))
        if models is None
        else list(models)
    )
    missing = [name for name in chosen if not (model_repository / name / CONFIG).is_file()]
    if missing or not chosen:
        raise EmbeddedError(
            f"No {', '.join(missing) or 'model'} in {model_repository}: run `imagier models install` first."
        )
    links: dict[Path, Path] = {}
    for name in chosen:
        model = folder / "models" / name
        model.mkdir(parents=True)
        config = configs.get(name) or (model_repository / name / CONFIG).read_text("utf-8")
        (model / CONFIG).write_text(f"{config}\n{request_ids.CONFIG}\n", "utf-8")
        links |= {
            model / part.name: part.resolve() for part in (model_repository / name).iterdir() if part.name != CONFIG
        }
    # Triton refuses a linked library outside its backend's folder, so the folder itself is the link.
    links[folder / "backends" / "python"] = wheel.python_backend
    for part in (*BACKEND.glob("*.py"), wheel.stub, wheel.python_backend / "triton_python_backend_utils.py"):
        links[folder / "backends" / "onnxruntime" / part.name] = part
    if wheel.libpython:
        links[folder / "lib" / wheel.libpython.name] = wheel.libpython
    for link, target in links.items():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)
    return chosen


def private_socket(place: Scratch) -> tuple[str, int]:
    """The Unix socket for Triton's gRPC, in a folder that no other user can enter.

    Triton appends a port to any address, so the socket is the file `grpc:1`.
    """
    return f"unix:{place.path / 'grpc'}", 1


def command(wheel: Wheel, place: Scratch, grpc_port: tuple[str, int], metrics_port: int) -> list[str]:
    """Triton's command line, which every user of the machine can read: it holds no secret. No HTTP but the metrics on loopback."""
    address, port = grpc_port
    return [
        str(wheel.server),
        f"--model-repository={place.path / 'models'}",
        # Triton's gRPC API needs no key, because only this user can connect; and a key here would be readable by all.
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
        f"--grpc-address={address}",
        f"--grpc-port={port}",
        f"--metrics-address={HOST}",
        f"--metrics-port={metrics_port}",
        "--log-verbose=0",
    ]


def environment(inherited: dict[str, str], wheel: Wheel, place: Scratch) -> dict[str, str]:
    """Triton's environment: what it needs of ours, and its libraries. This interpreter is first on PATH, for the stub's imports."""
    libraries = [str(wheel.libraries), str(place.path / "lib"), inherited.get("LD_LIBRARY_PATH", "")]
    path = [str(Path(sys.executable).parent), inherited.get("PATH", os.defpath)]
    return {
        **{name: value for name, value in inherited.items() if name in NEEDED or name.startswith(NEEDED_PREFIXES)},
        **no_telemetry.VARIABLES,
        "LD_LIBRARY_PATH": os.pathsep.join(filter(None, libraries)),
        "PATH": os.pathsep.join(path),
    }


async def _start(
    wheel: Wheel,
    place: Scratch,
    log: TritonLog,
    models: int,
    on_progress: Callable[[str], None],
    grpc_port: tuple[str, int] | None,
) -> EmbeddedTriton:
    address, port = grpc_port or private_socket(place)
    for attempt in range(1, START_ATTEMPTS + 1):
        log = log.from_here()
        metrics_port = _free_port()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-IS",
            str(LAUNCHER),
            str(os.getpid()),
            str(place.path),
            str(place.lock),
            *command(wheel, place, (address, port), metrics_port),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log.file,
            stderr=log.file,
            env=environment(dict(os.environ), wheel, place),
            # Model processes import from their working directory, which must therefore be ours.
            cwd=place.path,
            pass_fds=(place.lock,),
            start_new_session=True,  # a Ctrl-C at the terminal is the gateway's to handle
        )
        engine = EmbeddedTriton(f"{address}:{port}", f"{HOST}:{metrics_port}", process.pid, process, log)
        try:
            if await _ready(engine, models, on_progress):
                place.close_regions()
                return engine
        except BaseException:
            await _stop(process)
            raise
        status = await _stop(process)
        place.remove_regions()
        if attempt == START_ATTEMPTS or not _may_start_next_time(status, log.text()):
            break
        logger.warning("the embedded Triton ended while it started (%s): it is started again", reason(status))
    raise EmbeddedError(f"The embedded Triton ended while it started: {explain(log.text())}")


def _may_start_next_time(status: int, log: str) -> bool:
    """Whether another start may help: the port was taken, or a signal ended Triton. A broken model stays broken."""
    return "already in use" in log or (status < 0 and not failures(log))


def _free_port() -> int:
    with socket.socket() as free:
        free.bind((HOST, 0))
        return int(free.getsockname()[1])


async def _ready(engine: EmbeddedTriton, models: int, on_progress: Callable[[str], None]) -> bool:
    """Wait until Triton reports every model ready (True) or exits (False). It listens only after the last model."""
    began = told = time.monotonic()
    stuck: dict[int, float] = {}
    options = [
        ("grpc.enable_http_proxy", 0),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 200),
    ]
    async with grpc.aio.insecure_channel(engine.grpc_address, options=options) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        while engine.process.returncode is None:
            now = time.monotonic()
            stuck = {pid: stuck.get(pid, now) for pid in model_processes.stuck(engine.pid)}
            if any(now - since > STUCK_SECONDS for since in stuck.values()):
                engine.kill()  # Triton may wait for that process for ever
                raise EmbeddedError("A process of the embedded Triton ended or was stopped while a model loaded.")
            with suppress(grpc.aio.AioRpcError):
                reply = await health.Check(health_pb2.HealthCheckRequest(), timeout=1.0)
                if reply.status == health_pb2.HealthCheckResponse.SERVING:
                    return True
            if time.monotonic() - told >= PROGRESS_SECONDS:
                told = time.monotonic()
                loaded = engine.log.text().count("successfully loaded '")
                on_progress(f"Triton: {loaded} of {models} models loaded, {told - began:.0f} s")
            await asyncio.sleep(0.1)
    return False


async def _stop(process: asyncio.subprocess.Process) -> int:
    _signal(process, signal.SIGTERM)
    with suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), KILL_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # Triton if it hangs, and any surviving stubs
    return await process.wait()


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    # Not `Process.send_signal`: before Python 3.12.8 and 3.13.1 it may reap a child that has just exited, and the exit status,
    # which tells why Triton ended, is lost (python/cpython#127049).
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)
