# SPDX-License-Identifier: Apache-2.0
"""A batch of photographs as Piwigo AI sends it: how long each submission takes while the ones before are being read.

Caption, tags, text and vector of each, with a key that pays. The results are collected as the plugin does; each must come once
and be charged once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2 as httpx

sys.path.insert(0, str(Path(__file__).parent))
import pictures
from charging import made_ledger
from servers import gateway, triton
from throughput import OUTPUT, ROOT, machine

_FIELDS = {"callback": "", "caption": "1", "tagging": "1", "ocr": "1", "language": "fr_FR"}
_TASKS = 4
"""Of each photograph, a credit each: a vector comes along."""


async def batch(client: httpx.AsyncClient, photograph: bytes, count: int) -> dict[str, Any]:
    """Submit `count` photographs one after the other, then ask for results until all have come."""
    form: dict[str, Any] = {name: (None, value) for name, value in _FIELDS.items()}
    form["image"] = ("IMG_0042.jpg", photograph, "image/jpeg")
    began, accepted, taken = time.perf_counter(), [], set()
    for _ in range(count):
        sent = time.perf_counter()
        taken.add((await client.post("/piwigo/analyze", files=form)).json()["ticket_id"])
        accepted.append(time.perf_counter() - sent)
    submitted = time.perf_counter() - began
    found: list[dict[str, Any]] = []
    while len(found) < count:
        found += (await client.get("/piwigo/tickets")).json()["tickets"]
        await asyncio.sleep(0.2)
    if (
        {ticket["ticket_id"] for ticket in found} != taken
        or len(found) != count
        or any("failed" in each for each in found)
    ):
        raise SystemExit("a result is missing, came twice, or failed")
    accepted.sort()
    return {
        "photographs": count,
        "accepted_median_ms": round(statistics.median(accepted) * 1e3),
        "accepted_p95_ms": round(accepted[len(accepted) * 95 // 100] * 1e3),
        "accepted_longest_ms": round(accepted[-1] * 1e3),
        "all_submitted_s": round(submitted, 1),
        "all_collected_s": round(time.perf_counter() - began, 1),
    }


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", type=Path, default=ROOT / "model_repository")
    parser.add_argument("--photographs", type=int, default=50)
    arguments = parser.parse_args()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    photograph = pictures.mosaic()
    with TemporaryDirectory() as folder, made_ledger(Path(folder)) as ledger:
        options = ["--http-port", str(port), "--http-facades", "piwigo", "--ledger", ledger.where]
        async with (
            triton(arguments.repository) as engine,
            gateway(arguments.repository, engine.grpc_address, options),
            httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{port}",
                headers={"x-api-key": ledger.key, "x-plugin-version": "0.0.4beta"},
                trust_env=False,
                timeout=120,
            ) as client,
        ):
            measured = await batch(client, photograph, arguments.photographs)
        print(json.dumps(measured))
        ledger.check(_TASKS * arguments.photographs)
    result = {"machine": machine(), "bytes": len(photograph), "size": pictures.SIZE, **measured}
    (OUTPUT / "piwigo.json").write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    asyncio.run(main())
