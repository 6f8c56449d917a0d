# SPDX-License-Identifier: Apache-2.0
"""What the façade of Immich costs: OCR over `/predict` beside the same task over gRPC, and a relayed task beside an unrelayed one.

Pictures a second are compared as in doors.py. The relay's share is the median of the differences between two requests in a row, one
each way, to a server that answers at once: what is measured is the way, not the work.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import socket
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
from imagier.v1 import annotator_pb2, ocr_pb2

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
import samples
from doors import GRPC, Drive, compare, post
from servers import gateway, triton
from throughput import OUTPUT, ROOT, cpu_seconds, drive, machine

IN_FLIGHT = 2
PREDICT = "/predict"
_BOUNDARY = "----formdata-undici-087315466211"
_OCR = {
    "ocr": {
        "detection": {"modelName": "PP-OCRv5_mobile", "options": {"minScore": 0.5, "maxResolution": 736}},
        "recognition": {"modelName": "PP-OCRv5_mobile", "options": {"minScore": 0.8}},
    }
}
_FACES = {
    "facial-recognition": {
        "detection": {"modelName": "buffalo_l", "options": {"minScore": 0.7}},
        "recognition": {"modelName": "buffalo_l"},
    }
}
_EMBEDDING = json.dumps([0.0123] * 512)
_FACE = {"boundingBox": {"x1": 1, "y1": 2, "x2": 30, "y2": 40}, "embedding": _EMBEDDING, "score": 0.83}
_ANSWER = json.dumps({"facial-recognition": [_FACE] * 3, "imageHeight": 1440, "imageWidth": 1080}).encode()


def preview() -> bytes:
    """A drawn street sign as Immich's server sends it: 1440 pixels high, quality 80."""
    file = io.BytesIO()
    samples.street_sign().convert("RGB").resize((1080, 1440)).save(file, "JPEG", quality=80)
    return file.getvalue()


def predict(entries: dict[str, Any], image: bytes) -> bytes:
    """A request as Immich sends it."""
    begin = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="entries"\r\n\r\n{json.dumps(entries)}\r\n'
    begin += f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="blob"\r\n'
    body = (
        f"{begin}Content-Type: application/octet-stream\r\n\r\n".encode() + image + f"\r\n--{_BOUNDARY}--\r\n".encode()
    )
    kind = f"multipart/form-data; boundary={_BOUNDARY}"
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@asynccontextmanager
async def native() -> AsyncIterator[int]:
    """A server that answers each request at once when it is there; yields its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(_ANSWER)}\r\n\r\n".encode()
        try:
            while True:
                asked = (await reader.readuntil(b"\r\n\r\n")).lower()
                await reader.readexactly(int(asked.split(b"content-length: ")[1].split(b"\r")[0]))
                writer.write(head + _ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def relayed(ports: tuple[int, int], request: bytes, pairs: int, process: psutil.Process) -> dict[str, float]:
    """Milliseconds of a request to the server itself (the first port), and what it takes more through the façade.

    Connections stay open. The gateway's CPU time for one shows what a busy machine hides.
    """
    ways = [await asyncio.open_connection("127.0.0.1", port) for port in ports]

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> float:
        started = time.perf_counter()
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r")[0]))
        if not head.startswith(b"http/1.1 200 "):
            raise SystemExit("a relayed request failed")
        return (time.perf_counter() - started) * 1e3

    for way in ways * 20:
        await once(*way)
    before = cpu_seconds([process])
    took = [(await once(*ways[0]), await once(*ways[1])) for _ in range(pairs)]
    spent = cpu_seconds([process]) - before
    for _, writer in ways:
        writer.close()
    more = sorted(ours - direct for direct, ours in took)
    return {
        "direct_ms": round(statistics.median(direct for direct, _ in took), 2),
        "more_ms": round(statistics.median(more), 2),
        "more_p95_ms": round(more[len(more) * 95 // 100], 2),
        "gateway_cpu_ms": round(spent / pairs * 1e3, 2),
    }


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", type=Path, default=ROOT / "model_repository")
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--pairs", type=int, default=500)
    arguments = parser.parse_args()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    image = preview()
    async with (
        triton(arguments.repository) as engine,
        native() as native_port,
        gateway(
            arguments.repository,
            engine.grpc_address,
            [
                *("--http-port", str(port), "--http-facades", "immich"),
                *("--immich-upstream", f"http://127.0.0.1:{native_port}"),
            ],
        ) as (address, process),
    ):
        asked = annotator_pb2.AnnotateRequest(image=image, ocr=ocr_pb2.OcrOptions(min_confidence=0.8))
        request = predict(_OCR, image)

        async def grpc_calls(seconds: float) -> int:
            return len(await drive(address, asked, IN_FLIGHT, seconds))

        async def predictions(seconds: float) -> int:
            return await post(port, request, seconds, IN_FLIGHT)

        doors: dict[str, Drive] = {GRPC: grpc_calls, PREDICT: predictions}
        for warm in doors.values():
            await warm(2.0)
        ocr = await compare(doors, process, arguments.rounds, arguments.seconds)
        relay = await relayed((native_port, port), predict(_FACES, image), arguments.pairs, process)
    result = {
        "machine": machine(),
        "picture": {"bytes": len(image), "width": 1080, "height": 1440},
        "in_flight": IN_FLIGHT,
        "ocr": ocr,
        "relay": {"pairs": arguments.pairs, **relay},
    }
    (OUTPUT / "immich.json").write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(f"/predict {ocr[PREDICT]['ratio']:.3f} of gRPC's rate; a relayed task takes {relay['more_ms']:.2f} ms more")


if __name__ == "__main__":
    asyncio.run(main())
