# SPDX-License-Identifier: Apache-2.0
"""`python benchmarks/memory.py`: what a start costs, and the memory of each process before, during and after 100 mixed pictures.

The pictures: scikit-image's photographs, a drawn street sign, a receipt, a tea house and a page of print, and those in `--pictures`
(a folder), in several sizes. Each gets tags, a caption and a vector, every third is read, and a few texts are turned into vectors.

Memory is proportional set size (PSS) in MiB: a page that several processes share counts once.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import itertools
import json
import os
import re
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import grpc
import numpy as np
import psutil
from imagier.v1 import annotator_pb2, annotator_pb2_grpc, caption_pb2, embedding_pb2, ocr_pb2, tags_pb2
from PIL import Image
from throughput import OUTPUT, ROOT, machine

sys.path[:0] = [str(ROOT / folder) for folder in ("tests", "examples")]
import samples  # noqa: E402
from support.real_server import Server, serve  # noqa: E402

SIDES = (640, 1024, 1600)  # longest side in pixels at most, in turn
TEXT_EVERY = 3  # of so many pictures one is read, because that takes most of the time
IN_FLIGHT = 4
SETTLED_SECONDS = 30
SUFFIXES = {".jpg", ".jpeg", ".png", ".tif"}
TASKS = {
    "tags": tags_pb2.TagsOptions(),
    "caption": caption_pb2.CaptionOptions(),
    "ocr": ocr_pb2.OcrOptions(),
    "embedding": embedding_pb2.EmbeddingOptions(),
}


def pictures(folder: Path | None, count: int) -> Iterator[bytes]:
    """`count` JPEGs, the same in every run."""
    from skimage import data

    made = [samples.street_sign(), samples.receipt(), samples.tea_house()]
    made += [Image.fromarray(np.asarray(each())) for each in (data.astronaut, data.coffee, data.page, data.chelsea)]
    for path in sorted(folder.rglob("*")) if folder else ():
        if path.suffix in SUFFIXES:
            with Image.open(path) as picture:
                made.append(picture.convert("RGB"))
    for number in range(count):
        picture = made[number % len(made)].convert("RGB")
        scale = min(1.0, SIDES[number // len(made) % len(SIDES)] / max(picture.size))
        file = io.BytesIO()
        picture.resize([max(8, round(side * scale)) for side in picture.size]).save(file, "JPEG", quality=85)  # type: ignore[arg-type]
        yield file.getvalue()


def role(process: psutil.Process) -> str:
    """What a process of the server's is for; a model instance by its model."""
    command = process.cmdline()
    if "stub" in command[0]:
        return Path(command[1]).parents[1].name
    if "imagier_server.decode.worker" in command:
        return "decoder"
    if process.name() == "tritonserver":
        return "tritonserver"
    return "gateway" if "serve" in command else "guard"


def memory(server: Server) -> dict[str, object]:
    """PSS in MiB: the total, and of each process by its role."""
    found: dict[str, list[int]] = {}
    for process in server.family:
        with suppress(psutil.NoSuchProcess, OSError, IndexError):
            text = Path(f"/proc/{process.pid}/smaps_rollup").read_text("ascii")
            found.setdefault(role(process), []).append(int(re.findall(r"^Pss:\s+(\d+)", text, re.MULTILINE)[0]))
    by_role = {name: [round(kib / 1024) for kib in sizes] for name, sizes in sorted(found.items())}
    return {"total_mib": round(sum(map(sum, found.values())) / 1024), "by_process": by_role}


@contextmanager
def peak(server: Server) -> Iterator[dict[str, object]]:
    """Look twice a second during the block; at its end the value is the look with the largest total."""
    largest: dict[str, object] = memory(server)
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.5):
            seen = memory(server)
            if seen["total_mib"] > largest["total_mib"]:  # type: ignore[operator]
                largest.update(seen)

    watching = threading.Thread(target=look)
    watching.start()
    try:
        yield largest
    finally:
        over.set()
        watching.join()


def cpu_seconds(server: Server) -> float:
    """CPU time of all processes of the server so far."""
    return sum(sum(process.cpu_times()[:2]) for process in server.family)


async def send(address: str, images: Sequence[bytes]) -> list[float]:
    """Ask for everything about each picture, IN_FLIGHT at a time; the seconds that each took."""
    took = []
    numbered = enumerate(images)
    async with grpc.aio.insecure_channel(address) as channel:
        stub = annotator_pb2_grpc.AnnotatorServiceStub(channel)

        async def caller() -> None:
            for number, image in numbered:
                asked = {name: options for name, options in TASKS.items() if name != "ocr" or number % TEXT_EVERY == 0}
                began = time.perf_counter()
                await stub.Annotate(annotator_pb2.AnnotateRequest(image=image, **asked))
                took.append(time.perf_counter() - began)

        await asyncio.gather(*(caller() for _ in range(IN_FLIGHT)))
        for words in itertools.islice(("a cat", "a red car in the street", "the sea"), 3):
            await stub.EmbedText(embedding_pb2.EmbedTextRequest(texts=[words]))
    return took


def measured(images: Sequence[bytes]) -> dict[str, object]:
    """Start a server, and send it the pictures."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, serve(Path(folder), port) as server:
        start = {"seconds": round(time.perf_counter() - began, 1), "cpu_seconds": round(cpu_seconds(server), 1)}
        rest = memory(server)
        (first,), (again,) = (asyncio.run(send(server.address, images[:1])) for _ in range(2))
        before, began = cpu_seconds(server), time.perf_counter()
        with peak(server) as largest:
            asyncio.run(send(server.address, images))
        after = memory(server)
        work = {
            "pictures": len(images),
            "seconds": round(time.perf_counter() - began, 1),
            "cpu_seconds": round(cpu_seconds(server) - before, 1),
            "first_picture_seconds": round(first, 2),
            "the_same_again_seconds": round(again, 2),
        }
        time.sleep(SETTLED_SECONDS)
        settled = memory(server)
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine() | {"load": os.getloadavg()[0]},
        "start": start,
        "work": work,
        "at_rest": rest,
        "peak": largest,
        "right_after": after,
        f"after_{SETTLED_SECONDS}_s": settled,
    }


def main() -> None:
    """Measure once, and write it under its label into memory.json, beside the other labels there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path, help="a folder of further pictures")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--label", default="now")
    parser.add_argument("--out", type=Path, default=OUTPUT / "memory.json")
    arguments = parser.parse_args()
    record = json.loads(arguments.out.read_text("utf-8")) if arguments.out.exists() else {}
    record[arguments.label] = measured(list(pictures(arguments.pictures, arguments.count)))
    arguments.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(record[arguments.label], indent=1))


if __name__ == "__main__":
    main()
