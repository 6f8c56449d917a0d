# SPDX-License-Identifier: Apache-2.0
"""Vectors of a full-size ViT-B/32 with random weights: per second through the server beside the bare graphs, in one run.

The bare graphs run in this process, one thread per core, on rows that are already prepared; before and after each load, which is
compared with the mean of the two. Nothing else may run on the machine; `cpu_ratio`, of the processor time for a vector, minds that
less. Also: memory, and how near the vectors of photographs, through the server's decoder at the scale of the task, are to those of
transformers at full size.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import made_clip
import numpy as np
import pictures
import psutil
from imagier.v1 import annotator_pb2, annotator_pb2_grpc, embedding_pb2
from imagier_server.decode.decoder import decode
from imagier_server.decode.formats import sniff
from imagier_server.decode.refusals import Caps
from imagier_server.export import install_models
from imagier_server.export.embedders import read_image_tower
from imagier_server.export.onnx_runtime import onnxruntime
from imagier_server.messages import Picture
from imagier_server.model_lock import LOCK_NAME, read_lock, write_lock_text
from imagier_server.settings import usable_cores
from imagier_server.tasks.embedding.task import EmbeddingTask
from PIL import Image
from servers import server
from skimage import data
from throughput import OUTPUT, ROOT, batches, cpu_seconds, machine

NAME = "random-ViT-B-32"
QUERY = "a brown dog that runs along the beach"
TEXTS = 32
"""Texts in one call."""
PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket", "hubble_deep_field")
CAPS = Caps(10**9, 10**5)

Call = Callable[[annotator_pb2_grpc.AnnotatorServiceStub], Awaitable[int]]


def repository(folder: Path, checkpoint: Path) -> None:
    """A repository of the two networks, beside what the other tasks need to be loaded."""
    installed = read_lock(ROOT / "model_repository")
    kept = {role: model for role, model in installed.items() if "embedder" not in role}
    for role in kept:
        (folder / role).mkdir(parents=True)
        (folder / role / "assets").symlink_to(ROOT / "model_repository" / role / "assets")
    (folder / LOCK_NAME).write_text(write_lock_text(kept), "utf-8")
    for role in ("image_embedder", "text_embedder"):
        (folder / role).mkdir()
        config = (ROOT / "model_repository" / role / "config.pbtxt").read_text("utf-8")
        (folder / role / "config.pbtxt").write_text(config, "utf-8")
    install_models(folder, [str(checkpoint)], on_progress=lambda line: print(f"  {line}", file=sys.stderr), name=NAME)


def bare(graph: Path, name: str, rows: np.ndarray, seconds: float) -> tuple[float, float]:
    """Rows a second of the graph alone, one thread per core, and milliseconds of CPU time for each."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    cores = usable_cores()

    def work(deadline: float) -> int:
        done = 0
        while time.perf_counter() < deadline:
            done += len(session.run(None, {name: rows})[0])
        return done

    work(time.perf_counter() + 0.5)
    started, cpu = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(cores) as threads:
        done = sum(threads.map(work, [started + seconds] * cores))
    return done / (time.perf_counter() - started), (time.process_time() - cpu) / done * 1000


async def drive(address: str, call: Call, in_flight: int, seconds: float) -> tuple[float, list[float]]:
    """Vectors a second, and the latencies in seconds."""
    latencies: list[float] = []
    done = 0
    async with grpc.aio.insecure_channel(address) as channel:
        stub = annotator_pb2_grpc.AnnotatorServiceStub(channel)
        await call(stub)
        began = time.perf_counter()

        async def caller() -> None:
            nonlocal done
            while (started := time.perf_counter()) < began + seconds:
                count = await call(stub)
                done += count
                latencies.append(time.perf_counter() - started)

        await asyncio.gather(*(caller() for _ in range(in_flight)))
        return done / (time.perf_counter() - began), latencies


def parity(checkpoint: Path, task: EmbeddingTask, graph: Path, photographs: Sequence[bytes]) -> dict[str, float]:
    """Cosine of each photograph's vector with that of transformers, which sees it decoded at full size.

    The vectors of different photographs by a network with random weights are near each other, too: `between` says how near.
    """
    source = read_image_tower(checkpoint).source
    assert task.space, "installed above"
    side = task.space.image
    assert side, "installed above"
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    ours, theirs = [], []
    for content in photographs:
        pixels, width, height, _ = decode(content, sniff(content), CAPS, side.scale)
        inputs = side.prepare(Picture(np.asarray(pixels), width, height))
        ours.append(session.run(None, dict(inputs))[0][0])
        theirs.append(source(Image.open(io.BytesIO(content)).convert("RGB")).numpy())
    same = (np.stack(ours) * np.stack(theirs)).sum(1)
    between = (np.stack(theirs) @ np.stack(theirs).T)[np.triu_indices(len(theirs), 1)]
    return {
        "photographs": len(same),
        "least": round(float(same.min()), 6),
        "mean": round(float(same.mean()), 6),
        "between": round(float(between.mean()), 6),
    }


def taken(folder: Path | None) -> list[bytes]:
    """The photographs: those of `folder`, or scikit-image's as JPEG; and a large one."""
    if folder:
        return [pictures.mosaic(), *(path.read_bytes() for path in sorted(folder.glob("*.jpg"))[:100])]
    made = [pictures.mosaic()]
    for name in PHOTOGRAPHS:
        file = io.BytesIO()
        Image.fromarray(getattr(data, name)()[..., :3]).save(file, "JPEG", quality=90)
        made.append(file.getvalue())
    return made


async def main() -> None:
    """Measure, and write vectors.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each measurement")
    parser.add_argument(
        "--photographs", type=Path, help="a folder of JPEG files to compare with transformers on, 100 at most"
    )
    parser.add_argument(
        "--made", type=Path, help="where the networks are made, or are from a run before; else a folder of this run"
    )
    parser.add_argument("--out", type=Path, default=OUTPUT / "vectors.json")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        made = arguments.made or Path(scratch)
        checkpoint, models = made / "checkpoint", made / "models"
        if not models.exists():
            repository(models, made_clip.save(checkpoint))
        record = {"date": time.strftime("%Y-%m-%d"), "machine": machine(), "model": NAME}
        record |= await measured(models, arguments.seconds)
        graph = models / "image_embedder/1/model.onnx"
        cosines = parity(checkpoint, EmbeddingTask.load(models), graph, taken(arguments.photographs))
    record["cosine with transformers"] = cosines
    arguments.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(record, indent=2))


async def measured(models: Path, seconds: float) -> dict[str, object]:
    """The loads, and the memory of the server with both networks."""
    task = EmbeddingTask.load(models)
    assert task.space, "installed above"
    side, reader = task.space.image, task.space.text
    assert side, "installed above"
    assert reader, "installed above"
    photograph = pictures.mosaic()
    pixels, width, height, _ = decode(photograph, sniff(photograph), CAPS, side.scale)
    seen = side.prepare(Picture(np.asarray(pixels), width, height))["pixels"]
    read = reader.tokenise([QUERY]).batches[0].inputs["tokens"]
    image = annotator_pb2.AnnotateRequest(image=photograph, embedding=embedding_pb2.EmbeddingOptions())
    words = embedding_pb2.EmbedTextRequest(texts=[QUERY] * TEXTS)

    async def embed_picture(stub: annotator_pb2_grpc.AnnotatorServiceStub) -> int:
        answer = await stub.Annotate(image)
        if answer.embedding.status.code:
            raise SystemExit(f"a picture failed under load: {answer.embedding.status.message}")
        return 1

    async def embed_texts(stub: annotator_pb2_grpc.AnnotatorServiceStub) -> int:
        return len((await stub.EmbedText(words)).embeddings)

    loads = []
    async with server(models) as (address, engine, process):
        processes = (process, psutil.Process(engine.pid))
        for work, role, name, row, call, in_flights in (
            ("pictures", "image_embedder", "pixels", seen, embed_picture, (1, 8, 32)),
            ("texts", "text_embedder", "tokens", read, embed_texts, (1, 4, 8)),
        ):
            graph = models / role / "1/model.onnx"
            for in_flight in in_flights:
                rows = np.repeat(row, 4 if work == "pictures" else 16, axis=0)
                before, cpu_before = bare(graph, name, rows, seconds / 2)
                ran, cpu = batches(engine)[role], cpu_seconds(processes)
                rate, latencies = await drive(address, call, in_flight, seconds)
                now, spent = batches(engine)[role], cpu_seconds(processes) - cpu
                after, cpu_after = bare(graph, name, rows, seconds / 2)
                bound, bare_cpu = (before + after) / 2, (cpu_before + cpu_after) / 2
                p50, p99 = np.percentile(latencies, [50, 99]) * 1000
                vectors = len(latencies) * (TEXTS if work == "texts" else 1)
                loads.append(
                    {
                        "work": work,
                        "in_flight": in_flight,
                        "vectors_per_second": round(rate, 1),
                        "bare_graph": round(bound, 1),
                        "ratio": round(rate / bound, 3),
                        "p50_ms": round(float(p50), 1),
                        "p99_ms": round(float(p99), 1),
                        "cpu_ms_per_vector": round(spent / vectors * 1000, 1),
                        "bare_cpu_ms": round(bare_cpu, 1),
                        "cpu_ratio": round(bare_cpu / (spent / vectors * 1000), 3),
                        "mean_batch": round((now[0] - ran[0]) / (now[1] - ran[1]), 2),
                    }
                )
                print(f"  {loads[-1]}", file=sys.stderr)
        resident = {
            "gateway_mb": round(process.memory_info().rss / 1e6),
            "triton_mb": round(
                sum(each.memory_info().rss for each in (processes[1], *processes[1].children(recursive=True))) / 1e6
            ),
        }
    return {
        "picture": {"size": pictures.SIZE, "bytes": len(photograph)},
        "texts_per_call": TEXTS,
        "loads": loads,
        "memory": resident,
    }


if __name__ == "__main__":
    asyncio.run(main())
