# SPDX-License-Identifier: Apache-2.0
"""`python benchmarks/chaos.py`: half an hour of mixed traffic, and every minute a process of the server is killed or stopped.

Tags, texts and captions, called one by one and on a stream. The victims take turns: a process of each model, Triton, a decoder.
What is reported: answers by code, pictures without an answer by their deadline, and the seconds until all is ready again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import grpc
import psutil
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from imagier.v1 import annotator_pb2, annotator_pb2_grpc, caption_pb2

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / folder) for folder in ("tests", "examples")]
from support.real_server import REPOSITORY, Server, cold, serve  # noqa: E402
from support.soak import metric, requests  # noqa: E402
from support.victims import DECODER, MODELS, TRITON, processes  # noqa: E402

KILLED, STOPPED = signal.SIGKILL, signal.SIGSTOP
VICTIMS = (
    *((model, KILLED) for model in MODELS),
    (TRITON, KILLED),
    (DECODER, KILLED),
    *((model, STOPPED) for model in MODELS),
    (TRITON, STOPPED),
)
"""The targets, in this order, and the signals."""
TASKS = ("tags", "ocr", "caption")
CALLERS = 3
WINDOW = 4
"""Pictures of the stream under way at once."""
DEADLINE_SECONDS = 60.0
GRACE_SECONDS = 2.0
"""An answer takes a while to get here, on a busy machine."""
PAUSE_SECONDS = 0.1
"""After a refusal, as a polite caller."""
PATIENCE_SECONDS = 180.0
"""A server that is not ready by then will not be."""


@dataclass
class Report:
    """The callers' results. `late` are pictures without an answer by their deadline."""

    answers: Counter[str] = field(default_factory=Counter)
    without_retry_info: int = 0
    late: int = 0
    faults: list[dict[str, Any]] = field(default_factory=list)

    def add(self, way: str, status: Any) -> bool:
        """Counts the status of a picture or of one of its tasks. True if it was answered."""
        self.answers[f"{way} {code_pb2.Code.Name(status.code)}"] += 1
        retryable = any(detail.type_url.endswith("RetryInfo") for detail in status.details)
        self.without_retry_info += status.code == code_pb2.UNAVAILABLE and not retryable
        return bool(status.code == code_pb2.OK)

    def add_reply(
        self, way: str, request: annotator_pb2.AnnotateRequest, reply: annotator_pb2.AnnotateResponse
    ) -> bool:
        """Counts what became of each task. True if all were answered."""
        ends = [self.add(way, getattr(reply, task).status) for task in TASKS if request.HasField(task)]
        return all(ends)

    def record(self) -> dict[str, Any]:
        """For the results."""
        return {
            "answers": dict(sorted(self.answers.items())),
            "internal": sum(count for code, count in self.answers.items() if code.endswith(" INTERNAL")),
            "unavailable_without_retry_info": self.without_retry_info,
            "late": self.late,
            "faults": len(self.faults),
            "cores": psutil.cpu_count(),
            "longest_until_ready_seconds": max((fault["ready_seconds"] for fault in self.faults), default=0.0),
            "longest_until_answered_seconds": max((fault["answered_seconds"] for fault in self.faults), default=0.0),
            "each_fault": self.faults,
        }


def mixed() -> list[annotator_pb2.AnnotateRequest]:
    """Six pictures of seven for tags and a caption, one for text."""
    kinds = requests()
    photograph = annotator_pb2.AnnotateRequest(caption=caption_pb2.CaptionOptions())
    photograph.MergeFrom(kinds["tags"])
    return [kinds["tags"], kinds["ocr"], photograph, kinds["tags"], photograph, kinds["tags"], kinds["tags"]]


def everything() -> annotator_pb2.AnnotateRequest:
    """One picture, every task."""
    request = annotator_pb2.AnnotateRequest(caption=caption_pb2.CaptionOptions())
    request.MergeFrom(requests()["ocr"])
    return request


async def call(stub: annotator_pb2_grpc.AnnotatorServiceStub, over: asyncio.Event, report: Report) -> None:
    """One caller, picture by picture."""
    kinds = mixed()
    while not over.is_set():
        request, began = random.choice(kinds), time.monotonic()
        answered = False
        try:
            reply = await stub.Annotate(request, timeout=DEADLINE_SECONDS)
            answered = report.add_reply("call", request, reply)
        except grpc.aio.AioRpcError as error:
            packed = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
            status = status_pb2.Status.FromString(packed)
            status.code = error.code().value[0]
            report.add("call", status)
            # The server's own answer has details; without them it was this side's clock that ended the call.
            report.late += error.code() is grpc.StatusCode.DEADLINE_EXCEEDED and not packed
        report.late += time.monotonic() - began > DEADLINE_SECONDS + GRACE_SECONDS
        await asyncio.sleep(0 if answered else PAUSE_SECONDS)


async def stream(stub: annotator_pb2_grpc.AnnotatorServiceStub, over: asyncio.Event, report: Report) -> None:
    """One stream after the other; the first lasts the whole time if the server lets it."""
    while not over.is_set():
        try:
            await one_stream(stub, over, report)
        except grpc.aio.AioRpcError as error:
            # Pictures without an answer are to be sent again on the next one.
            report.answers[f"stream ended {error.code().name}"] += 1
            await asyncio.sleep(PAUSE_SECONDS)


async def one_stream(stub: annotator_pb2_grpc.AnnotatorServiceStub, over: asyncio.Event, report: Report) -> None:
    """A stream until its end. Raises `AioRpcError` if the server ends it."""
    kinds = mixed()
    room = asyncio.Semaphore(WINDOW)
    sent: dict[str, tuple[float, annotator_pb2.AnnotateRequest]] = {}

    async def pictures() -> AsyncIterator[annotator_pb2.AnnotateStreamRequest]:
        number = 0
        while not over.is_set():
            await room.acquire()
            number += 1
            request = annotator_pb2.AnnotateRequest(request_id=str(number))
            request.MergeFrom(random.choice(kinds))
            sent[request.request_id] = time.monotonic(), request
            yield annotator_pb2.AnnotateStreamRequest(
                request=request, timeout=Duration(seconds=int(DEADLINE_SECONDS - GRACE_SECONDS))
            )

    async for answer in stub.AnnotateStream(pictures()):
        began, request = sent.pop(answer.request_id)
        report.late += time.monotonic() - began > DEADLINE_SECONDS + GRACE_SECONDS
        if answer.HasField("error"):
            report.add("stream", answer.error)
        elif not report.add_reply("stream", request, answer.response):
            await asyncio.sleep(PAUSE_SECONDS)
        room.release()
    report.late += len(sent)


async def ready(server: Server, channel: grpc.aio.Channel, gone: psutil.Process) -> bool:
    """Whether the process is gone, and the server ready without it: Triton known and up, health SERVING (every model)."""
    assert server.process.poll() is None, "the server has ended"
    if gone.is_running() or not await asyncio.to_thread(metric, server, "imagier_engines_up"):
        return False
    health = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    return bool(health.status == health_pb2.HealthCheckResponse.SERVING)


async def answered(channel: grpc.aio.Channel) -> bool:
    """Whether a picture is answered with every task."""
    with suppress(grpc.aio.AioRpcError):
        reply = await annotator_pb2_grpc.AnnotatorServiceStub(channel).Annotate(everything(), timeout=DEADLINE_SECONDS)
        return all(getattr(reply, task).status.code == code_pb2.OK for task in TASKS)
    return False


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Asks again and again, until it holds."""
    while True:
        if await condition():
            return
        await asyncio.sleep(PAUSE_SECONDS)


async def hit(server: Server, channel: grpc.aio.Channel, victim: str, how: signal.Signals, report: Report) -> None:
    """Kills or stops one process, and times how long it takes until all is ready again, and until every task is answered."""
    process = random.choice(processes(server, victim))
    began = time.monotonic()
    process.send_signal(how)
    fault = {"victim": victim, "signal": how.name, "load": round(psutil.getloadavg()[0], 1)}
    async with asyncio.timeout(PATIENCE_SECONDS):
        await until(lambda: ready(server, channel, process))
        fault["ready_seconds"] = round(time.monotonic() - began, 1)
        await until(lambda: answered(channel))
        fault["answered_seconds"] = round(time.monotonic() - began, 1)
    report.faults.append(fault)
    print(fault, dict(report.answers), f"late {report.late}", file=sys.stderr, flush=True)


async def chaos(
    server: Server, victims: Iterable[tuple[str, signal.Signals]], seconds: float, every: float = 0.0
) -> Report:
    """Traffic for so long, or until there are no more victims; one is hit each `every` seconds, and when the last is replaced."""
    report, over = Report(), asyncio.Event()
    async with grpc.aio.insecure_channel(server.address, options=[("grpc.enable_retries", 0)]) as channel:
        stub = annotator_pb2_grpc.AnnotatorServiceStub(channel)
        end = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            for _ in range(CALLERS):
                group.create_task(call(stub, over, report))
            group.create_task(stream(stub, over, report))
            for victim, how in victims:
                due = time.monotonic() + every
                # In the midst of work, and not always at the same point of it.
                await asyncio.sleep(min(every, 5.0) * random.random())
                await hit(server, channel, victim, how, report)
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                if time.monotonic() >= end:
                    break
            over.set()
    return report


def victim(text: str) -> tuple[str, signal.Signals]:
    """NAME:SIGNAL as (name, signal), such as tritonserver:SIGKILL."""
    name, _, how = text.partition(":")
    return name, signal.Signals[how]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--every", type=float, default=60.0, help="seconds from one victim to the next")
    parser.add_argument("--victims", type=victim, nargs="+", metavar="NAME:SIGNAL", help="these, once each")
    parser.add_argument("--cold", action="store_true", help="no warm-up of models but the smallest, for a quick start")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "chaos.json")
    arguments = parser.parse_args()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        models = cold(Path(folder) / "models", sample=True) if arguments.cold else REPOSITORY
        with serve(Path(folder), port, "--model-repository", str(models)) as server:
            victims = arguments.victims or cycle(VICTIMS)
            report = asyncio.run(chaos(server, victims, 60 * arguments.minutes, arguments.every))
            log = server.log.read_text("utf-8")
    record = {
        "date": time.strftime("%Y-%m-%d"),
        "minutes": arguments.minutes,
        "every_seconds": arguments.every,
        **report.record(),
        "restarts": log.count("the embedded Triton is started again"),
        "tracebacks": log.count("Traceback"),
    }
    arguments.out.parent.mkdir(exist_ok=True)
    arguments.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
