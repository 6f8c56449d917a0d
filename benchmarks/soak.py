# SPDX-License-Identifier: Apache-2.0
"""`python benchmarks/soak.py`: 10 000 pictures in a row, and what they leave in memory, descriptors, tasks and shared memory.

They are of many sizes, shapes and formats. Every fiftieth picture asks for text too, every hundredth is broken, and every two
hundredth caller goes away at once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / folder) for folder in ("tests", "examples")]
from support.real_server import serve  # noqa: E402
from support.soak import send, state  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--warm-up", type=int, default=1_000, help="requests before the first look")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, serve(Path(folder), 8701) as server:
        asyncio.run(send(server.address, arguments.warm_up))
        looks = [state(server)]
        started = time.perf_counter()
        for _ in range(4):
            asyncio.run(send(server.address, arguments.requests // 4))
            looks.append(state(server))
            print(looks[-1], file=sys.stderr)
        seconds = time.perf_counter() - started
    record = {
        "date": time.strftime("%Y-%m-%d"),
        "requests": arguments.requests,
        "seconds": round(seconds),
        "before_and_each_quarter": looks,
    }
    output = ROOT / "benchmarks" / "results"
    output.mkdir(exist_ok=True)
    (output / "soak.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
