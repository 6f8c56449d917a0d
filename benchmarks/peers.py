# SPDX-License-Identifier: Apache-2.0
"""`make bench`: our server beside its peers, with the same pictures and where there is one the same graph, in turn in one run.

Each part can be run alone (`--work`), and replaces its rows in results/peers.json: compare within a part only, which one run
measured on one machine. The peers' versions and why they are pinned: environments.py. Client and servers share the machine's cores.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import psutil
from imagier.v1 import annotator_pb2, caption_pb2, ocr_pb2, tags_pb2
from imagier_server.messages import Picture, Tensors
from imagier_server.tasks.caption import task as captions
from imagier_server.tasks.tags import task as tagging

sys.path.insert(0, str(Path(__file__).parent))
import environments
import picture_sets
from contenders import LIBRARIES, Ours, front_end, library, litserve, ours
from contest import Row, Run, Sample, compare, rows, turn
from loads import closed, once, opened, poisson
from throughput import OUTPUT, ROOT, bare, machine

TAGS = annotator_pb2.AnnotateRequest(tags=tags_pb2.TagsOptions())
OCR = annotator_pb2.AnnotateRequest(ocr=ocr_pb2.OcrOptions())
CAPTION = annotator_pb2.AnnotateRequest(caption=caption_pb2.CaptionOptions())
ALL = annotator_pb2.AnnotateRequest(tags=TAGS.tags, ocr=OCR.ocr, caption=CAPTION.caption)
SHARES = (0.5, 0.7, 0.9)
"""Of the capacity, in the open loop."""
_SEED = 11


@dataclass(frozen=True)
class Bench:
    """One run: its settings, our server, and a folder for the pictures."""

    repository: Path
    seconds: float
    rounds: int
    given: Mapping[str, Path]
    folder: Path
    server: Ours

    def during(self, in_flight: int) -> Callable[..., Awaitable[list[float]]]:
        """A closed loop."""
        return partial(closed, in_flight=in_flight, seconds=self.seconds)

    def graph(self, model: str) -> Path:
        """The exported graph of a model."""
        return self.repository / model / "1" / "model.onnx"

    def ceiling(
        self, path: Path, model: str, scale: Callable[[int, int], float], prepare: Callable[[Picture], Tensors]
    ) -> Run:
        """The same work without serving, in this process, one thread a core."""
        image = path.read_bytes()

        async def run() -> Sample:
            rate, cpu = await asyncio.to_thread(bare, image, self.graph(model), scale, prepare, self.seconds)
            return Sample(rate, (), cpu * 1e3, 0.0, psutil.Process().memory_full_info().pss / (1 << 20), 0.0)

        return run


async def tags(bench: Bench) -> list[Row]:
    """Tags of a 3-megapixel JPEG, closed loop."""
    tagger = tagging.TagsTask.load(bench.repository)
    paths = picture_sets.photograph(bench.folder)
    made = []
    async with (
        litserve(str(bench.graph(tagging.MODEL)), side=260, shorter=297) as other,
        grpc.aio.insecure_channel(bench.server.triton.grpc_address) as channel,
    ):
        alone = bench.server.alone(channel, tagging.MODEL, tagger.scale, tagging.prepare)
        for in_flight in (8, 1, 32):
            load = bench.during(in_flight)
            runs = {each.name: turn(each, paths, load) for each in (bench.server.contender(TAGS), other, alone)}
            if in_flight == 8:
                runs["ceiling"] = bench.ceiling(paths[0], tagging.MODEL, tagger.scale, tagging.prepare)
            made += rows("tags", f"{in_flight} in flight", await compare(runs, bench.rounds))
    return made


async def latency(bench: Bench) -> list[Row]:
    """Tags, open loop: the same arrivals for both, at shares of the smaller one's capacity."""
    paths = picture_sets.photograph(bench.folder)
    made = []
    async with litserve(str(bench.graph(tagging.MODEL)), side=260, shorter=297) as other:
        both = (bench.server.contender(TAGS), other)
        capacity = await compare({each.name: turn(each, paths, bench.during(8)) for each in both}, 1)
        slowest = min(samples[0].pictures_per_second for samples in capacity.values())
        for share in SHARES:
            arrivals = poisson(share * slowest, 3 * bench.seconds, _SEED)
            runs = {each.name: turn(each, paths, partial(opened, arrivals=arrivals)) for each in both}
            load = f"{share:.0%}: {share * slowest:.1f} a second".replace("%", " %")
            made += rows("tags", load, await compare(runs, max(1, bench.rounds - 2), warm=True))
    return made


async def ocr(name: str, bench: Bench) -> list[Row]:
    """Text in a set of pictures, one at a time: each library uses all cores by itself."""
    paths = picture_sets.files(name, bench.folder, bench.given)
    load = partial(once, in_flight=1)
    async with AsyncExitStack() as stack:
        others = [await stack.enter_async_context(library(each)) for each in LIBRARIES]
        runs = {each.name: turn(each, paths, load) for each in (bench.server.contender(OCR), *others)}
        return rows(f"ocr, {name}", "1 in flight", await compare(runs, max(1, bench.rounds // 2)))


async def caption(bench: Bench) -> list[Row]:
    """Captions of the same JPEG, 8 in flight; LitServe runs our graph, which has the whole search in it."""
    task = captions.CaptionTask.load(bench.repository)
    if task.assets is None:
        raise SystemExit("no captioner is installed")
    side = task.assets.side
    paths = picture_sets.photograph(bench.folder)
    async with litserve(str(bench.graph(captions.MODEL)), side=side, shorter=0) as other:
        runs = {each.name: turn(each, paths, bench.during(8)) for each in (bench.server.contender(CAPTION), other)}
        prepare = partial(captions.prepare, side=side)
        runs["ceiling"] = bench.ceiling(paths[0], captions.MODEL, task.scale, prepare)
        return rows("caption", "8 in flight", await compare(runs, bench.rounds))


async def together(bench: Bench) -> list[Row]:
    """Tags, text and caption of a library's pictures: in one request, and in three."""
    paths = picture_sets.files("library", bench.folder, bench.given)
    one = bench.server.contender(ALL, name="one request")
    three = bench.server.contender(TAGS, OCR, CAPTION, name="three requests")
    load = partial(once, in_flight=2)
    found = await compare({each.name: turn(each, paths, load) for each in (one, three)}, max(1, bench.rounds // 2))
    return rows("all three", "2 in flight", found, base=one.name)


async def front_ends(bench: Bench) -> list[Row]:
    """A task that does nothing, of a picture of 64 pixels: the way of a request through each front end."""
    paths = picture_sets.tiny(bench.folder)
    async with front_end(bench.repository, bench.server.triton) as own, litserve("noop") as other:
        runs = {each.name: turn(each, paths, bench.during(32)) for each in (own, other)}
        return rows("no-op", "32 in flight", await compare(runs, bench.rounds))


PARTS: Mapping[str, Callable[[Bench], Awaitable[list[Row]]]] = {
    "tags": tags,
    "latency": latency,
    **{f"ocr-{name}": partial(ocr, name) for name in picture_sets.SETS},
    "caption": caption,
    "together": together,
    "front-end": front_ends,
}


@asynccontextmanager
async def bench(arguments: argparse.Namespace) -> AsyncIterator[Bench]:
    """Start what all parts need."""
    given = {name: Path(folder) for name, _, folder in (each.partition("=") for each in arguments.pictures)}
    if unknown := given.keys() - picture_sets.SETS:
        raise SystemExit(f"no such set of pictures: {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory() as folder:
        async with ours(arguments.repository) as server:
            yield Bench(arguments.repository, arguments.seconds, arguments.rounds, given, Path(folder), server)


def merge(out: Path, name: str, part: Mapping[str, Any]) -> None:
    """Put a part in the place of its former results."""
    record = json.loads(out.read_text("utf-8")) if out.exists() else {"parts": {}}
    record["parts"][name] = part
    record["parts"] = {each: record["parts"][each] for each in PARTS if each in record["parts"]}
    out.write_text(json.dumps(record, indent=1) + "\n", "utf-8")


async def measure(name: str, running: Bench, out: Path) -> None:
    """Measure a part and keep it."""
    print(name, file=sys.stderr)
    started = time.perf_counter()
    found = await PARTS[name](running)
    part = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine(),
        "peers": environments.releases(),
        "rounds": running.rounds,
        "seconds": running.seconds,
        "own_pictures": sorted(running.given),
        "took_seconds": round(time.perf_counter() - started),
        "rows": [asdict(row) for row in found],
    }
    merge(out, name, part)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--repository", type=Path, default=ROOT / "model_repository")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each turn in a closed loop")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--pictures", nargs="*", default=[], metavar="SET=FOLDER", help="your own instead of a set's")
    parser.add_argument("--out", type=Path, default=OUTPUT / "peers.json")
    arguments = parser.parse_args()
    async with bench(arguments) as running:
        for name in arguments.work:
            await measure(name, running, arguments.out)


if __name__ == "__main__":
    asyncio.run(main())
