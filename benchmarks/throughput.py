# SPDX-License-Identifier: Apache-2.0
"""`make bench`: pictures a second through the whole server, beside the ceiling of the same work in one process, in one run.

The ceiling decodes with the server's own decoder and runs the tagger's or the captioner's own graph, one picture at a time on
each core, without any serving. It is measured before and after each load, which is compared with the mean of the two: a noisy
machine's ratios hold where its seconds do not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import re
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import grpc
import numpy as np
import psutil
from imagier.v1 import annotator_pb2, annotator_pb2_grpc, caption_pb2, ocr_pb2, tags_pb2
from imagier_server import embedded
from imagier_server.decode.decoder import decode
from imagier_server.decode.formats import sniff
from imagier_server.decode.refusals import Caps
from imagier_server.export.onnx_runtime import onnxruntime
from imagier_server.messages import Picture, Tensors
from imagier_server.settings import usable_cores
from imagier_server.tasks.caption import task as captions
from imagier_server.tasks.tags import task as tagging

sys.path.insert(0, str(Path(__file__).parent))
import pictures
from loads import closed, cpu_seconds
from servers import server

ROOT = Path(__file__).parents[1]
OUTPUT = ROOT / "benchmarks" / "results"


@dataclass(frozen=True)
class Load:
    """One load: `ratio` is to the ceiling beside it; latencies in milliseconds; CPU of the server side only."""

    work: str
    in_flight: int
    pictures_per_second: float
    ceiling: float
    ratio: float
    p50_ms: float
    p99_ms: float
    cpu_ms_per_picture: float
    mean_batch: dict[str, float]


def ceiling(
    image: bytes,
    graph: Path,
    scale: Callable[[int, int], float],
    prepare: Callable[[Picture], Tensors],
    seconds: float,
) -> float:
    """Pictures per second of decoding and one graph in this process, one thread per core."""
    return bare(image, graph, scale, prepare, seconds)[0]


def bare(
    image: bytes,
    graph: Path,
    scale: Callable[[int, int], float],
    prepare: Callable[[Picture], Tensors],
    seconds: float,
) -> tuple[float, float]:
    """Pictures per second of that, and the CPU seconds of one."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    caps = Caps(10**9, 10**5)

    def work(deadline: float) -> int:
        done = 0
        while time.perf_counter() < deadline:
            picture, width, height, _ = decode(image, sniff(image), caps, scale)
            session.run(None, dict(prepare(Picture(np.asarray(picture), width, height))))
            done += 1
        return done

    cores = usable_cores()
    work(time.perf_counter() + 0.5)
    started, spent = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(cores) as threads:
        done = sum(threads.map(work, [started + seconds] * cores))
    return done / (time.perf_counter() - started), (time.process_time() - spent) / done


def batches(engine: embedded.EmbeddedTriton) -> dict[str, tuple[float, float]]:
    """(rows inferred, executions) by model, from Triton's own metrics."""
    with urllib.request.urlopen(f"http://{engine.metrics_address}/metrics") as answer:
        text = answer.read().decode()
    found = {
        kind: dict(re.findall(rf'^{kind}{{model="(\w+)".*?}} ([\d.e+]+)', text, re.MULTILINE))
        for kind in ("nv_inference_count", "nv_inference_exec_count")
    }
    return {
        model: (float(rows), float(found["nv_inference_exec_count"][model]))
        for model, rows in found["nv_inference_count"].items()
    }


async def drive(
    address: str,
    request: annotator_pb2.AnnotateRequest,
    in_flight: int,
    seconds: float,
    metadata: Callable[[], Sequence[tuple[str, str]]] = list,
) -> list[float]:
    """Send the same request repeatedly, `in_flight` at a time; return the latencies in seconds. `metadata`: of each call."""
    async with grpc.aio.insecure_channel(address, options=[("grpc.max_send_message_length", -1)]) as channel:
        stub = annotator_pb2_grpc.AnnotatorServiceStub(channel)

        async def send() -> None:
            answer = await stub.Annotate(request, metadata=metadata())
            if answer.cost == 0:
                raise SystemExit("a task failed under load")

        await send()
        return await closed([send], in_flight, seconds)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", type=Path, default=ROOT / "model_repository")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each measurement")
    arguments = parser.parse_args()

    photograph = pictures.mosaic()
    sys.path.insert(0, str(ROOT / "examples"))
    import samples

    receipt = _png(samples.receipt())
    tags = annotator_pb2.AnnotateRequest(image=photograph, tags=tags_pb2.TagsOptions())
    caption = annotator_pb2.AnnotateRequest(image=photograph, caption=caption_pb2.CaptionOptions())
    text = annotator_pb2.AnnotateRequest(image=receipt, ocr=ocr_pb2.OcrOptions())
    size = " x ".join(map(str, pictures.SIZE))
    print(
        f"picture: {size} JPEG, quality {pictures.QUALITY}, {len(photograph)} bytes; receipt: {len(receipt)} bytes",
        file=sys.stderr,
    )

    tagger = tagging.TagsTask.load(arguments.repository)
    captioner = captions.CaptionTask.load(arguments.repository)
    loads: list[Load] = []
    async with server(arguments.repository) as (address, engine, process):
        processes = (process, psutil.Process(engine.pid))

        async def measure(
            work: str, request: annotator_pb2.AnnotateRequest, in_flight: int, limit: Callable[[], float] | None
        ) -> None:
            before_ceiling = limit() if limit else 0.0
            before_batches, before_cpu = batches(engine), cpu_seconds(processes)
            started = time.perf_counter()
            latencies = await drive(address, request, in_flight, arguments.seconds)
            rate = len(latencies) / (time.perf_counter() - started)
            cpu = (cpu_seconds(processes) - before_cpu) / len(latencies)
            after = batches(engine)
            mean = {
                model: round((rows - before_batches[model][0]) / (runs - before_batches[model][1]), 2)
                for model, (rows, runs) in after.items()
                if runs > before_batches[model][1]
            }
            bound = (before_ceiling + limit()) / 2 if limit else float("nan")
            p50, p99 = np.percentile(latencies, [50, 99]) * 1000
            loads.append(
                Load(
                    work,
                    in_flight,
                    round(rate, 1),
                    round(bound, 1),
                    round(rate / bound, 3),
                    round(p50, 1),
                    round(p99, 1),
                    round(cpu * 1000, 1),
                    mean,
                )
            )
            print(f"  {loads[-1]}", file=sys.stderr)

        def tags_ceiling() -> float:
            graph = arguments.repository / tagging.MODEL / "1/model.onnx"
            return ceiling(photograph, graph, tagger.scale, tagging.prepare, arguments.seconds / 2)

        def captions_ceiling() -> float:
            graph = arguments.repository / captions.MODEL / "1/model.onnx"
            side = captioner.assets.side if captioner.assets else 0
            return ceiling(
                photograph, graph, captioner.scale, lambda whole: captions.prepare(whole, side), arguments.seconds / 2
            )

        for in_flight in (1, 8, 32):
            await measure("tags", tags, in_flight, tags_ceiling)
        for in_flight in (1, 8, 32):
            await measure("caption", caption, in_flight, captions_ceiling)
        for in_flight in (1, 8):
            await measure("ocr", text, in_flight, None)

    write(loads, len(photograph))


def machine() -> dict[str, object]:
    """The machine and versions that the figures depend on."""
    return {
        "cores": usable_cores(),
        "processor": platform.processor() or platform.machine(),
        "flags": _flags(),
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
    }


def _flags() -> list[str]:
    """What of the processor decides how fast a model runs."""
    known = {"avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_bf16", "amx_int8", "asimddp", "sve"}
    cpuinfo = Path("/proc/cpuinfo")
    return sorted(known & set(cpuinfo.read_text("ascii", "replace").split())) if cpuinfo.exists() else []


def write(loads: Sequence[Load], size: int) -> None:
    """Write the results as JSON and as the table of docs/performance.md."""
    OUTPUT.mkdir(exist_ok=True)
    record = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine(),
        "picture": {"size": pictures.SIZE, "quality": pictures.QUALITY, "bytes": size},
        "loads": [asdict(load) for load in loads],
    }
    (OUTPUT / "throughput.json").write_text(
        json.dumps(record, indent=2).replace("NaN", "null") + "\n", encoding="utf-8"
    )
    rows = [
        "| work | in flight | pictures/s | ceiling | ratio | p50 ms | p99 ms | CPU ms/picture | mean batch |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for load in loads:
        bound, ratio = (f"{load.ceiling}", f"{load.ratio:.2f}") if load.ratio == load.ratio else ("", "")
        mean = ", ".join(f"{model} {value}" for model, value in load.mean_batch.items())
        cells = (
            load.work,
            load.in_flight,
            load.pictures_per_second,
            bound,
            ratio,
            load.p50_ms,
            load.p99_ms,
            load.cpu_ms_per_picture,
            mean,
        )
        rows.append(f"| {' | '.join(map(str, cells))} |")
    table = "\n".join(rows) + "\n"
    (OUTPUT / "throughput.md").write_text(table, encoding="utf-8")
    print(table)


def _png(picture: object) -> bytes:
    import io

    file = io.BytesIO()
    picture.save(file, "PNG")  # type: ignore[attr-defined]
    return file.getvalue()


if __name__ == "__main__":
    asyncio.run(main())
