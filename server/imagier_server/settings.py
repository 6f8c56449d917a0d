# SPDX-License-Identifier: Apache-2.0
"""Every knob of the server: type, default, environment name (IMAGIER_…), flag and help in one declaration."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

MIB = 1 << 20
_TARGET = r"(dns:///)?([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):\d{1,5}"


def usable_cores() -> int:
    """Processor cores that this process may use: its affinity, and the cgroup's quota where one is set."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))
    except (OSError, ValueError):
        return cores


class Settings(BaseSettings):
    """Settings of `imagier serve`. A flag wins over the environment, the environment over the default."""

    model_config = SettingsConfigDict(
        env_prefix="IMAGIER_",
        frozen=True,
        extra="forbid",
        cli_prog_name="imagier serve",
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_avoid_json=True,
        cli_hide_none_type=True,
    )

    host: Annotated[
        str, Field(description="address to listen on; there are no keys yet, so think before you open it")
    ] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="gRPC port; 0 takes a free one")] = 8500
    metrics_port: Annotated[
        int, Field(ge=0, le=65535, description="port of Prometheus' /metrics; 0 takes a free one")
    ] = 8501

    engine: Annotated[
        str,
        Field(
            pattern=rf"^(embedded|{_TARGET}(,{_TARGET})*)$",
            description="'embedded', or the gRPC ports of Tritons that run already: HOST:PORT, several with commas between;"
            " each address of a name is one Triton",
        ),
    ] = "embedded"
    engine_resolve_seconds: Annotated[
        float, Field(gt=0, description="how often the names in 'engine' are looked up; also when a Triton fails")
    ] = 5.0
    engine_retry_percent: Annotated[
        int, Field(ge=0, le=100, description="inferences tried again on another Triton, of those of late; 0 for none")
    ] = 20
    model_repository: Annotated[
        Path, Field(description="Triton's model repository, with its models.lock and assets")
    ] = Path("model_repository")
    engine_log_dir: Annotated[
        Path | None, Field(description="where the embedded Triton logs; a private temporary folder if unset")
    ] = None

    max_image_bytes: Annotated[int, Field(ge=1024, le=512 * MIB, description="largest picture file, in bytes")] = (
        32 * MIB
    )
    max_image_pixels: Annotated[int, Field(ge=1, description="most pixels of a picture, width times height")] = (
        100_000_000
    )
    max_image_side: Annotated[int, Field(ge=1, le=65535, description="longest side of a picture, in pixels")] = 30_000

    in_flight: Annotated[int, Field(ge=1, le=4096, description="pictures worked on at once; more are refused")] = 64
    in_flight_bytes: Annotated[int, Field(ge=MIB, description="bytes of picture files held at once")] = 512 * MIB
    stream_in_flight: Annotated[int, Field(ge=1, le=1024, description="pictures of one stream worked on at once")] = 16
    connection_streams: Annotated[
        int, Field(ge=1, le=4096, description="HTTP/2 streams that one connection may hold open")
    ] = 256

    decoders: Annotated[int, Field(ge=1, le=256, description="decoder processes")] = Field(default_factory=usable_cores)
    decode_seconds: Annotated[
        float, Field(gt=0, description="a decoder that takes more processor time over one picture is stopped")
    ] = 20.0
    decode_memory: Annotated[int, Field(ge=256 * MIB, description="address space of one decoder process, in bytes")] = (
        2048 * MIB
    )
    compute_threads: Annotated[int, Field(ge=1, le=256, description="threads for the arithmetic around the models")] = (
        Field(default_factory=usable_cores)
    )

    deadline_seconds: Annotated[float, Field(gt=0, description="a picture's deadline where the caller sets none")] = (
        60.0
    )
    drain_seconds: Annotated[float, Field(ge=0, description="how long a shutdown waits for what is under way")] = 15.0
    log_level: Annotated[
        str, Field(pattern="^(debug|info|warning|error)$", description="debug, info, warning or error")
    ] = "info"

    traces: Annotated[
        str | None,
        Field(description="[https://]HOST:PORT of an OpenTelemetry collector (OTLP over gRPC); no traces if unset"),
    ] = None

    ready_fd: Annotated[int | None, Field(description="file descriptor that 'HOST:PORT' is written to once ready")] = (
        None
    )
    exit_with_parent: Annotated[bool, Field(description="stop when standard input is closed")] = False
