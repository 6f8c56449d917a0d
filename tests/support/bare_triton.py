# SPDX-License-Identifier: Apache-2.0
"""A real Triton with the tagger only, at an address of its own, as a pod has: `python bare_triton.py HOST PORT`.

Prints its process id and its metrics address once it is ready; ends at the end of its input.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from imagier_server import embedded

REPOSITORY = Path(__file__).parents[2] / "model_repository"


async def run(host: str, port: int) -> None:
    async with embedded.start(REPOSITORY, models=["tagger"], grpc_port=(host, port)) as engine:
        print(engine.pid, engine.metrics_address, flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], int(sys.argv[2])))
