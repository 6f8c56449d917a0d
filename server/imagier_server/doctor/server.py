# SPDX-License-Identifier: Apache-2.0
"""Checks what `imagier serve` needs: Triton and its libpython, models, ports, decoders. Needs the extra `server`."""

from __future__ import annotations

import socket
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from imagier_server import endpoints, export, model_lock
from imagier_server.decode.process import DecoderProcess, DecoderUnavailableError
from imagier_server.decode.refusals import Caps
from imagier_server.doctor.finding import Finding, binary_size, note, wrong
from imagier_server.doctor.machine import shared_memory
from imagier_server.embedded import wheel
from imagier_server.embedded.process import SHM_BYTES
from imagier_server.settings import Settings
from imagier_server.tasks import registry
from imagier_server.warm_up import read_warm_up

EMBEDDED = "embedded"
CONNECT_SECONDS, METRICS_SECONDS = 2.0, 2.0
OWN_METRIC = b"imagier_build_info"


def needs(settings: Settings) -> Iterator[Finding]:
    """Check everything that `imagier serve` needs, in the order in which it would fail."""
    running = answers(settings)
    yield from ports(settings, running=running)
    yield from models(settings.model_repository)
    if settings.engine == EMBEDDED:
        yield libpython()
        yield triton()
        yield shared_memory(regions(settings.model_repository), running=running)
    else:
        yield engines(settings.engine)
    yield decoders(settings)


def libpython() -> Finding:
    """Python's shared library, which Triton's Python backend links to."""
    name = f"libpython{sys.version_info.major}.{sys.version_info.minor}.so.1.0"
    try:
        found = wheel.find_libpython(name)
    except wheel.EmbeddedError as error:
        return wrong("libpython", "none", str(error))
    return Finding("libpython", name if found or sys.version_info < (3, 13) else "that of Triton")


def triton() -> Finding:
    """NVIDIA's wheel, and whether its binaries run here."""
    try:
        found = wheel.find()
    except wheel.EmbeddedError as error:
        return wrong("Triton", "none that can run here", str(error))
    lacking = [path.name for path in (found.server, found.stub, found.python_backend) if not path.exists()]
    if lacking:
        advice = "Remove the folder share/imagier of this environment, and say `imagier engine install`."
        return wrong("Triton", f"incomplete: without {', '.join(lacking)}", advice)
    return Finding("Triton", f"{wheel.TRITON_VERSION}, of the wheel nvidia-pytriton {wheel.WHEEL_VERSION}")


def regions(repository: Path) -> int:
    """Bytes of shared memory that the installed models take at the start: a region for each instance."""
    instances = 0
    for config in repository.glob("*/config.pbtxt"):
        if (config.parent / "1" / "model.onnx").is_file():
            instances += read_warm_up(config).instances
    return instances * SHM_BYTES


def engines(targets: str) -> Finding:
    """Whether the Tritons of `--engine` can be connected to. They are counted, not named."""
    addresses = [target.removeprefix("dns:///").rpartition(":") for target in targets.split(",")]
    reached = 0
    for host, _, port in addresses:
        try:
            with socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS):
                reached += 1
        except OSError:
            continue
    found = f"{reached} of the {len(addresses)} in --engine can be connected to"
    if not reached:
        return wrong("Triton", found, "Start them, or see that their gRPC ports can be reached from here.")
    if reached < len(addresses):
        return note("Triton", found, "The others are used once they can be.")
    return Finding("Triton", found)


def models(repository: Path) -> Iterator[Finding]:
    """The roles of the catalogue by their state: current (every byte checked), stale, missing."""
    if not repository.is_dir():
        advice = "Say `--model-repository DIR`, or run this where the checkout is: it holds one."
        yield wrong("models", f"no folder {repository}", advice)
        return
    required = {model for task in registry.tasks() if not task.optional for model in task.models}
    try:
        standings = export.status(repository)
        locked = model_lock.read_lock(repository)
    except (export.ExportError, model_lock.ModelLockError, OSError) as error:
        yield wrong("models", "not readable", f"{error}: `imagier models install` repairs what is there.")
        return
    current = [role for role, standing in standings.items() if standing.state is export.State.CURRENT]
    if current:
        size = sum(file.size for role in current for file in locked[role].files.values())
        yield Finding("models", f"current: {', '.join(current)}; {binary_size(size)}")
    for state in (export.State.STALE, export.State.MISSING):
        for mark, roles in ((wrong, required), (note, standings.keys() - required)):
            if named := [role for role in roles if standings[role].state is state]:
                terms = any((row := standings[role].row) and row.research_only for role in named)
                accept = " --accept research-only" if terms else ""
                command = f"imagier models install{accept} --repository {repository}"
                yield mark(
                    "models", f"{state}: {', '.join(sorted(named))}", f"`{command}` installs what is not current."
                )


def answers(settings: Settings) -> bool:
    """Whether a server with these settings runs here already: its metrics say so."""
    host = _metrics_host(settings)
    if host.startswith(endpoints.UNIX) or not settings.metrics_port:
        return False
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - asked for, not listened on
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    url = f"http://{endpoints.joined(host, settings.metrics_port)}/metrics"
    try:
        with opener.open(url, timeout=METRICS_SECONDS) as reply:
            return OWN_METRIC in reply.read(1 << 20)
    except (OSError, ValueError):
        return False


def ports(settings: Settings, *, running: bool) -> Iterator[Finding]:
    """Whether the addresses to listen on are free. One that a server of ours has is no fault."""
    for name, host, port, flag in (
        ("gRPC port", settings.host, settings.port, "--port"),
        ("metrics port", _metrics_host(settings), settings.metrics_port, "--metrics-port"),
        ("HTTP port", settings.http_host or endpoints.beside(settings.host), settings.http_port, "--http-port"),
    ):
        if host.startswith(endpoints.UNIX) or (flag == "--http-port" and not settings.http):
            continue  # to look at a socket would be to replace it
        said = f"{port}" if port else "any free one"
        try:
            with ExitStack() as stack:
                for each in stack.enter_context(endpoints.taken(host, port)):
                    each.listen(1)
            yield Finding(name, f"{said}, free" if port else said)
        except OSError as error:
            if running:
                yield Finding(name, f"{said}, a server of Imagier has it")
            else:
                advice = f"End the program that has it, or choose another with {flag} (0 takes a free one)."
                yield wrong(name, f"{said}, {_reason(error)}", advice)


def decoders(settings: Settings) -> Finding:
    """Whether a decoder starts, and how well the kernel lets it be closed in."""
    try:
        process = DecoderProcess(Caps(settings.max_image_pixels, settings.max_image_side), settings.decode_memory)
    except DecoderUnavailableError:
        return wrong("decoders", "none starts", _NO_DECODER)
    try:
        closed = process.confinement()
    except DecoderUnavailableError:
        return wrong("decoders", "none starts", _NO_DECODER)
    finally:
        process.stop()
    seccomp = "seccomp" if closed.seccomp else "no seccomp"
    landlock = f"Landlock {closed.landlock}" if closed.landlock else "no Landlock"
    found = f"{settings.decoders}, closed in by {seccomp} and {landlock}"
    if not (closed.seccomp and closed.landlock):
        advice = "They are closed in less well: take Linux 5.13 or newer, and a container that allows both."
        return note("decoders", found, advice)
    return Finding("decoders", found)


_NO_DECODER = "Is there memory for another process, and may this user start one (`ulimit -u`, `ulimit -v`)?"


def _metrics_host(settings: Settings) -> str:
    if settings.metrics_host:
        return settings.metrics_host
    return "127.0.0.1" if settings.host.startswith(endpoints.UNIX) else settings.host


def _reason(error: OSError) -> str:
    """Why an address cannot be had, without the address."""
    return str(error).rpartition(": ")[2].lower()
