# SPDX-License-Identifier: Apache-2.0
"""`python benchmarks/worst_picture.py`: what the worst pictures that are accepted cost a real server, in memory and time.

Each has 100 megapixels, in the formats that are dearest to decode, or as much text as is read; and is
asked for tags and text.
"""

from __future__ import annotations

import argparse
import itertools
import json
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import grpc
import psutil
from imagier.v1 import annotator_pb2, annotator_pb2_grpc, ocr_pb2, tags_pb2
from ocr_corpus import PROSE
from ocr_languages import LANGUAGES
from ocr_pages import font
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / folder) for folder in ("tests", "examples")]
import samples  # noqa: E402
from support import made_pictures as made  # noqa: E402
from support.heic import heic  # noqa: E402
from support.real_server import Server, serve  # noqa: E402

SIDE = 10_000
CODES = {code.value[0]: code.name for code in grpc.StatusCode}


def photograph(size: tuple[int, int] = (SIDE, SIDE)) -> Image.Image:
    """Shapes of every colour, soft enough for the largest file allowed."""
    return made.noise(500, 500).resize(size, Image.Resampling.BILINEAR)


def print_of(size: tuple[int, int] = (SIDE, SIDE)) -> Image.Image:
    """Receipts all over: more lines than are read of one picture."""
    page, receipt = Image.new("RGB", size, "white"), samples.receipt()
    for left in range(0, size[0], receipt.width):
        for top in range(0, size[1], receipt.height):
            page.paste(receipt, (left, top))
    return page


def written_on(texts: Sequence[str], face: ImageFont.FreeTypeFont, across: int, down: int) -> Image.Image:
    """The largest page that is read at its full size, with a text at every `across` and `down` pixels."""
    page = Image.new("RGB", (4000, 4000), "white")
    draw, endless = ImageDraw.Draw(page), itertools.cycle(texts)
    for top in range(20, page.height - down, down):
        for left in range(20, page.width - across, across):
            draw.text((left, top), next(endless), "black", face)
    return page


def long_lines() -> Image.Image:
    """More lines than are read, each as wide as the recogniser's widest tensor."""
    return written_on([" ".join(PROSE["en"])[:140]], font("sans", 13), 980, 15)


def unread_words() -> Image.Image:
    """More words than are read, in a script that is not, and each short enough to be tried in every direction."""
    korean = next(language for language in LANGUAGES if language.tag == "ko")
    return written_on(" ".join(korean.lines).split(), font("korean", 24), 100, 120)


def few(picture: Image.Image, colours: int) -> Image.Image:
    """With so few colours that its lossless file stays below the limit."""
    return picture.quantize(colours)


PICTURES: Mapping[str, Callable[[], bytes]] = {
    "JPEG, 12 megapixels, for comparison": lambda: made.encoded(photograph((4000, 3000)), "JPEG", quality=85),
    "JPEG": lambda: made.encoded(photograph(), "JPEG", quality=85),
    "JPEG, progressive, 4:4:4": lambda: made.encoded(photograph(), "JPEG", quality=80, subsampling=0, progressive=True),
    "JPEG, CMYK, progressive": lambda: made.encoded(photograph().convert("CMYK"), "JPEG", quality=60, progressive=True),
    "JPEG, 20 scans": lambda: made.with_scans(20, (SIDE, SIDE)),
    "PNG, alpha": lambda: made.encoded(few(photograph(), 8).convert("RGBA"), compress_level=1),
    "PNG, 16-bit grey": lambda: made.encoded(Image.new("I;16", (SIDE, SIDE), 30_000), compress_level=1),
    "TIFF, float": lambda: made.encoded(Image.new("F", (SIDE, SIDE), 0.5), "TIFF", compression="tiff_deflate"),
    "TIFF, turned": lambda: made.encoded(
        few(photograph(), 8).convert("RGB"), "TIFF", compression="tiff_lzw", tiffinfo={0x0112: 6}
    ),
    "GIF": lambda: made.encoded(few(photograph(), 16), "GIF"),
    "WebP": lambda: made.encoded(photograph(), "WEBP", quality=30, method=0),
    "WebP, lossless, alpha": lambda: made.encoded(
        few(photograph(), 4).convert("RGBA"), "WEBP", lossless=True, method=0
    ),
    "AVIF": lambda: made.encoded(photograph(), "AVIF", quality=20, speed=10),
    "HEIC of 400 tiles": lambda: heic(made.noise(512, 512), grid=(19, 20)),
    "JPEG full of print": lambda: made.encoded(print_of(), "JPEG", quality=70),
    "JPEG, panorama full of print": lambda: made.encoded(print_of((30_000, 3_333)), "JPEG", quality=70),
    "PNG, long lines": lambda: made.encoded(long_lines()),
    "PNG, words in a script that is not read": lambda: made.encoded(unread_words()),
    "PNG, 20 000 x 1": lambda: made.encoded(Image.new("RGB", (20_000, 1), "red")),
}


def peak(process: psutil.Process) -> tuple[float, float]:
    """(resident, address space): the most that a process has had since `forget`, and ever, in MiB."""
    lines = Path(f"/proc/{process.pid}/status").read_text("ascii").splitlines()
    status = dict(line.split(":", 1) for line in lines)
    return int(status["VmHWM"].split()[0]) / 1024, int(status["VmPeak"].split()[0]) / 1024


def cpu_seconds(process: psutil.Process) -> float:
    """CPU time of a process."""
    times = process.cpu_times()
    return float(times.user + times.system)


def forget(process: psutil.Process) -> None:
    """The peak begins anew (proc(5), clear_refs)."""
    Path(f"/proc/{process.pid}/clear_refs").write_text("5", "ascii")


def decoders(server: Server) -> list[psutil.Process]:
    """Its decoder processes."""
    return [each for each in server.family if "imagier_server.decode.worker" in each.cmdline()]


def measure(server: Server, stub: annotator_pb2_grpc.AnnotatorServiceStub, image: bytes) -> dict[str, object]:
    """One picture, alone on the server: seconds by stage, peaks in MiB, or the error."""
    gateway = server.family[0]
    (decoder,) = decoders(server)
    engine = [each for each in server.family if each not in {gateway, decoder}]
    for process in (gateway, decoder, *engine):
        forget(process)
    request = annotator_pb2.AnnotateRequest(
        image=image, tags=tags_pb2.TagsOptions(), ocr=ocr_pb2.OcrOptions(words=True)
    )
    row: dict[str, object] = {"megabytes": round(len(image) / 1e6, 2)}
    used = {process: cpu_seconds(process) for process in (gateway, decoder, *engine)}
    begin = time.perf_counter()
    try:
        answer = stub.Annotate(request, timeout=300)
    except grpc.RpcError as error:
        row |= {"code": error.code().name, "error": error.details()}
    else:
        row |= {"code": "OK", "pixels": [answer.width, answer.height], "lines": len(answer.ocr.lines)}
        row |= {"tags": CODES[answer.tags.status.code], "ocr": CODES[answer.ocr.status.code]}
        decode = [stage.duration.ToMilliseconds() for stage in answer.timings.stages if not stage.task]
        row["decode_seconds"] = round(sum(decode) / 1e3, 2)
    row["seconds"] = round(time.perf_counter() - begin, 2)
    for name, processes in (("decoder", [decoder]), ("gateway", [gateway]), ("engine", engine)):
        with suppress(psutil.NoSuchProcess):  # a decoder that overran
            # What the picture itself costs, whatever else the machine does.
            row[f"{name}_cpu_seconds"] = round(sum(cpu_seconds(each) - used[each] for each in processes), 2)
    if decoder.is_running() and decoder.status() != psutil.STATUS_ZOMBIE:
        row["decoder_mib"], row["decoder_address_space_mib"] = map(round, peak(decoder))
    row["gateway_mib"] = round(peak(gateway)[0])
    row["engine_mib"] = round(sum(peak(process)[0] for process in engine))
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "worst_picture.json")
    parser.add_argument("--only", choices=PICTURES, help="one picture, printed and not written")
    options = parser.parse_args()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    rows: dict[str, dict[str, object]] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        serve(Path(folder), port, "--decoders", "1") as server,
        grpc.insecure_channel(server.address, options=[("grpc.max_send_message_length", -1)]) as channel,
    ):
        stub = annotator_pb2_grpc.AnnotatorServiceStub(channel)
        for name in [options.only] if options.only else PICTURES:
            image = PICTURES[name]()
            # A decoder of its own for each: address space never shrinks. The next picture finds the old one gone.
            for decoder in decoders(server):
                decoder.kill()
            small = annotator_pb2.AnnotateRequest(image=made.encoded(made.quadrants()), tags=tags_pb2.TagsOptions())
            with suppress(grpc.RpcError):  # may still be dying
                stub.Annotate(small)
            stub.Annotate(small)
            rows[name] = measure(server, stub, image)
            print(name, json.dumps(rows[name]), flush=True)
    if options.only:
        return

    def worst(column: str) -> dict[str, object]:
        name = max(rows, key=lambda each: float(str(rows[each].get(column, 0))))
        return {"picture": name, column: rows[name][column]}

    columns = (
        "seconds",
        "decode_seconds",
        "decoder_cpu_seconds",
        "gateway_cpu_seconds",
        "engine_cpu_seconds",
        "decoder_mib",
        "decoder_address_space_mib",
        "gateway_mib",
        "engine_mib",
    )
    result = {
        "date": datetime.now(UTC).date().isoformat(),
        "data": f"made by code, {SIDE * SIDE // 1_000_000} megapixels but where it says otherwise; tags and text, one at a time",
        "cores": psutil.cpu_count(),
        "load_at_start": round(psutil.getloadavg()[0], 1),
        "worst": {column: worst(column) for column in columns},
        "pictures": rows,
    }
    options.out.write_text(json.dumps(result, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
