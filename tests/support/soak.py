# SPDX-License-Identifier: Apache-2.0
"""Requests in a row to a real server, and what they leave in memory, descriptors, tasks and shared memory."""

from __future__ import annotations

import asyncio
import io
import itertools
import random
import re
import urllib.request
from contextlib import suppress
from pathlib import Path

import grpc
import psutil
import samples
from imagier.v1 import annotator_pb2, annotator_pb2_grpc, ocr_pb2, tags_pb2
from PIL import Image

from support.real_server import Server

IN_FLIGHT = 8


SIDES = (64, 320, 512, 900, 1600)
"""Widths of varied pictures in pixels."""

SHAPES = (("JPEG", 1.0), ("WEBP", 1.5), ("PNG", 0.6))
"""Their formats, and heights in widths."""


def requests() -> dict[str, annotator_pb2.AnnotateRequest]:
    """The kinds of request: a photograph, a sign with text, a broken file."""
    photograph, sign = _pictures()
    file = _file(photograph, photograph.width)
    tags = tags_pb2.TagsOptions()
    return {
        "tags": annotator_pb2.AnnotateRequest(image=file, tags=tags),
        "ocr": annotator_pb2.AnnotateRequest(
            image=_file(sign, sign.width), tags=tags, ocr=ocr_pb2.OcrOptions(words=True)
        ),
        "broken": annotator_pb2.AnnotateRequest(image=file[:5000], tags=tags),
    }


def varied() -> dict[str, list[annotator_pb2.AnnotateRequest]]:
    """The same kinds, in many sizes, shapes and formats: the models' inputs have several shapes."""
    tags, text = tags_pb2.TagsOptions(), ocr_pb2.OcrOptions(words=True)
    files = [[_file(picture, side, *shape) for side in SIDES for shape in SHAPES] for picture in _pictures()]
    return {
        "tags": [annotator_pb2.AnnotateRequest(image=file, tags=tags) for file in files[0]],
        "ocr": [annotator_pb2.AnnotateRequest(image=file, tags=tags, ocr=text) for file in itertools.chain(*files)],
        "broken": [annotator_pb2.AnnotateRequest(image=file[: len(file) // 2], tags=tags) for file in files[0]],
    }


def _pictures() -> tuple[Image.Image, Image.Image]:
    """A photograph without text, and one of a sign."""
    from skimage import data

    return Image.fromarray(data.astronaut()), samples.street_sign().convert("RGB")


def _file(picture: Image.Image, side: int, form: str = "JPEG", stretch: float | None = None) -> bytes:
    """`picture` at a width, as a file of a format; `stretch`: its height in widths."""
    file = io.BytesIO()
    high = picture.height / picture.width if stretch is None else stretch
    picture.resize((side, round(side * high))).save(file, form)
    return file.getvalue()


def metric(server: Server, name: str) -> float:
    """The value of a metric without labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.metrics_port}/metrics") as answer:
        (value,) = re.findall(rf"^{name} (\S+)", answer.read().decode(), re.MULTILINE)
    return float(value)


def state(server: Server) -> dict[str, float]:
    """What could grow. Memory in MiB, proportional set size: shared pages count once."""
    # The event loop counts its tasks a few times a second: wait until it has done so since the last request ended.
    seen = metric(server, "imagier_event_loop_lag_seconds_count")
    while (
        metric(server, "imagier_in_flight_pictures")
        or metric(server, "imagier_event_loop_lag_seconds_count") < seen + 2
    ):
        pass
    family = [process for process in server.family if process.status() != psutil.STATUS_ZOMBIE]
    (triton,) = [process for process in family if process.name() == "tritonserver"]
    (regions,) = re.findall(r"shm-region-prefix-name=(\S+)", " ".join(triton.cmdline()))
    return {
        "gateway_mib": round(family[0].memory_full_info().pss / 2**20, 1),
        "others_mib": round(sum(process.memory_full_info().pss for process in family[1:]) / 2**20, 1),
        "processes": len(family),
        "descriptors": sum(process.num_fds() for process in family),
        "threads": sum(process.num_threads() for process in family),
        "tasks": metric(server, "imagier_event_loop_tasks"),
        "shared_memory_files": sum(
            1 for path in Path("/dev/shm").rglob("*") if regions in str(path) and path.is_file()
        ),
    }


async def send(address: str, count: int) -> None:
    """`count` requests, IN_FLIGHT at a time."""
    kinds = varied()
    numbers = iter(range(1, count + 1))
    async with grpc.aio.insecure_channel(address) as channel:
        stub = annotator_pb2_grpc.AnnotatorServiceStub(channel)

        async def caller() -> None:
            for number in numbers:
                kind = "broken" if number % 100 == 0 else "ocr" if number % 50 == 1 else "tags"
                call = stub.Annotate(random.Random(number).choice(kinds[kind]))
                if number % 200 == 7:
                    call.cancel()
                with suppress(grpc.aio.AioRpcError, asyncio.CancelledError):
                    await call

        await asyncio.gather(*(caller() for _ in range(IN_FLIGHT)))
