# SPDX-License-Identifier: Apache-2.0
"""The gateway as a process of its own, whose memory can be looked at."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

SERVE = "import sys; from imagier_server.commands import serve; sys.exit(serve(sys.argv[1:]))"


@dataclass(frozen=True, slots=True)
class Served:
    """A gateway's process and where it listens."""

    process: asyncio.subprocess.Process
    address: str
    log: Path
    http: str

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def memory(self, name: str = "VmRSS") -> int:
        """Bytes; 'VmHWM' is the most that it ever had."""
        status = Path(f"/proc/{self.process.pid}/status").read_text("ascii")
        return int(re.findall(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE)[0]) * 1024


@asynccontextmanager
async def served(
    repository: Path,
    engine_port: int,
    log: Path,
    flags: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    within: Sequence[str] = (),
) -> AsyncIterator[Served]:
    """`within`: a command that becomes the one after it."""
    ready, says = os.pipe()
    flags = [
        *("--engine", f"127.0.0.1:{engine_port}", "--model-repository", str(repository), "--port", "0"),
        *("--metrics-port", "0", "--drain-seconds", "0", "--ready-fd", str(says), "--exit-with-parent", *flags),
    ]
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            *(*within, sys.executable, "-c", SERVE, *flags),
            stdin=asyncio.subprocess.PIPE,
            pass_fds=(says,),
            stderr=file,
            env=environment,
        )
    os.close(says)
    with os.fdopen(ready) as pipe:
        address, http = [(await asyncio.to_thread(pipe.readline)).strip() for _ in range(2)]
    assert address, "it says why in its log"
    try:
        yield Served(process, address, log, http)
    finally:
        with suppress(ProcessLookupError):  # killed
            process.terminate()
        await process.wait()
