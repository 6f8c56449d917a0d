# SPDX-License-Identifier: Apache-2.0
"""How many altered copies are found by their fingerprints, and how many different pictures are taken for copies.

Every picture is altered in each way and encoded again; decoder and task are the server's own, without a server. No picture is kept.
A copy is found if it is within the distance of its original, a false alarm is a pair of different originals within it.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from imagier_client.duplicates import DISTANCE, MIN_QUALITY
from imagier_server.decode.decoder import decode, load_codecs
from imagier_server.decode.formats import Format
from imagier_server.decode.refusals import Caps
from imagier_server.messages import Picture
from imagier_server.tasks.fingerprint.task import FingerprintTask, finish, prepare
from imagier_server.tasks.fingerprint.values import Fingerprint, FingerprintOptions
from PIL import Image, ImageDraw, ImageEnhance, ImageOps
from throughput import OUTPUT, machine

DISTANCES = (0, 10, 20, DISTANCE, 40, 50)
CAPS = Caps(100_000_000, 32_768)
TASK = FingerprintTask()
Alter = Callable[[Image.Image], Image.Image]


def cropped(share: float) -> Alter:
    """Without this share of each side, half of it at each end."""

    def crop(picture: Image.Image) -> Image.Image:
        across, down = round(picture.width * share / 2), round(picture.height * share / 2)
        return picture.crop((across, down, picture.width - across, picture.height - down))

    return crop


def framed(share: float) -> Alter:
    """With a black border, this share of the shorter side wide."""
    return lambda picture: ImageOps.expand(picture, round(min(picture.size) * share), "black")


def lettered(picture: Image.Image) -> Image.Image:
    """With a white line of text across the lower edge."""
    made = picture.copy()
    ImageDraw.Draw(made).text(
        (made.width // 20, made.height * 9 // 10), "a line of text on it", "white", font_size=max(10, made.height // 14)
    )
    return made


def turned(degrees: float) -> Alter:
    """Clockwise; the corners that come free are black."""
    return lambda picture: picture.rotate(-degrees, Image.Resampling.BICUBIC, expand=degrees % 90 == 0)


def resized(across: float, down: float) -> Alter:
    """With sides so many times as long."""
    return lambda picture: picture.resize(
        (max(1, round(picture.width * across)), max(1, round(picture.height * down))), Image.Resampling.LANCZOS
    )


def same(picture: Image.Image) -> Image.Image:
    """Unaltered."""
    return picture


ALTERED: dict[str, tuple[Alter, str, int]] = {
    "JPEG at quality 75": (same, "JPEG", 75),
    "JPEG at quality 20": (same, "JPEG", 20),
    "WebP at quality 50": (same, "WEBP", 50),
    "half as large": (resized(0.5, 0.5), "JPEG", 90),
    "a quarter as large": (resized(0.25, 0.25), "JPEG", 90),
    "twice as large": (resized(2, 2), "JPEG", 90),
    "squashed by 20 %": (resized(0.8, 1), "JPEG", 90),
    "cropped by 2 %": (cropped(0.02), "JPEG", 90),
    "cropped by 5 %": (cropped(0.05), "JPEG", 90),
    "cropped by 10 %": (cropped(0.10), "JPEG", 90),
    "cropped by 20 %": (cropped(0.20), "JPEG", 90),
    "framed, border of 2 %": (framed(0.02), "JPEG", 90),
    "framed, border of 5 %": (framed(0.05), "JPEG", 90),
    "a line of text on it": (lettered, "JPEG", 90),
    "grey": (lambda picture: picture.convert("L"), "JPEG", 90),
    "brighter by 30 %": (lambda picture: ImageEnhance.Brightness(picture).enhance(1.3), "JPEG", 90),
    "half the contrast": (lambda picture: ImageEnhance.Contrast(picture).enhance(0.5), "JPEG", 90),
    "twice the colour": (lambda picture: ImageEnhance.Color(picture).enhance(2), "JPEG", 90),
    "turned by 2°": (turned(2), "JPEG", 90),
    "turned by 90°": (turned(90), "JPEG", 90),
    "turned by 180°": (turned(180), "JPEG", 90),
    "mirrored": (ImageOps.mirror, "JPEG", 90),
}


def pictures(paths: list[Path]) -> Iterator[bytes]:
    """The JPEG files of folders and tar archives."""
    for path in paths:
        if path.is_dir():
            yield from (each.read_bytes() for each in sorted(path.rglob("*.jpg")))
            continue
        with tarfile.open(path) as archive:
            for member in archive:
                if member.name.endswith(".jpg") and (file := archive.extractfile(member)):
                    yield file.read()


def fingerprint(image: bytes, fmt: Format, options: FingerprintOptions) -> Fingerprint:
    """As the server makes it: decoded at the task's scale."""
    picture, width, height, _ = decode(image, fmt, CAPS, TASK.scale)
    return finish(prepare(Picture(np.asarray(picture), width, height)), options)


def words(hashes: list[bytes]) -> np.ndarray:
    """(N, 4)."""
    return np.frombuffer(b"".join(hashes), np.uint64).reshape(-1, 4)


def shares(distances: list[int]) -> dict[str, float]:
    """The share within each distance, to four digits."""
    return {str(limit): round(float(np.mean([each <= limit for each in distances])), 4) for limit in DISTANCES}


def measured(paths: list[Path], most: int, altered: int) -> dict[str, object]:
    """Fingerprints of at most `most` pictures, of which at most `altered` are altered in every way."""
    load_codecs()
    originals: list[Fingerprint] = []
    recall: dict[str, list[int]] = {name: [] for name in ALTERED}
    with_rotations: dict[str, list[int]] = {name: [] for name in ALTERED}
    poor = 0
    for image in islice(pictures(paths), most):
        original = fingerprint(image, Format.JPEG, FingerprintOptions(rotations=True))
        if original.quality < MIN_QUALITY:
            poor += 1
            continue
        originals.append(original)
        if len(originals) > altered:
            continue
        opened = Image.open(io.BytesIO(image)).convert("RGB")
        for name, (alter, fmt, quality) in ALTERED.items():
            file = io.BytesIO()
            alter(opened).save(file, fmt, quality=quality)
            copy = fingerprint(file.getvalue(), Format.JPEG if fmt == "JPEG" else Format.WEBP, FingerprintOptions())
            target = int.from_bytes(copy.hash)
            apart = [(int.from_bytes(each) ^ target).bit_count() for each in (original.hash, *original.rotations)]
            recall[name].append(apart[0])
            with_rotations[name].append(min(apart))
    pairs, false = alarms(originals)
    return {
        "pictures": len(originals),
        "too_little_to_see": poor,
        "altered": len(recall["grey"]),
        "recall": {name: shares(found) for name, found in recall.items()},
        "recall_with_rotations": {name: shares(found) for name, found in with_rotations.items()},
        "pairs": pairs,
        "false_alarms": false,
    }


def alarms(originals: list[Fingerprint]) -> tuple[int, dict[str, dict[str, int]]]:
    """Pairs of different originals, and how many are within each distance, without and with rotations of the first."""
    own = words([each.hash for each in originals])
    found = {"upright": dict.fromkeys(map(str, DISTANCES), 0), "with_rotations": dict.fromkeys(map(str, DISTANCES), 0)}
    for place, each in enumerate(originals):
        turned_too = words([each.hash, *each.rotations])
        apart = np.bitwise_count(turned_too[:, np.newaxis] ^ own[place + 1 :]).sum(axis=2, dtype=np.int64)
        for limit in DISTANCES:
            found["upright"][str(limit)] += int((apart[0] <= limit).sum())
            found["with_rotations"][str(limit)] += int((apart.min(axis=0) <= limit).sum())
    return len(originals) * (len(originals) - 1) // 2, found


def table(record: dict[str, dict[str, dict[str, float]]]) -> str:
    """The rows of docs/duplicates.md."""
    rows = ["| copy | found, ≤ 20 bits | ≤ 31 bits | ≤ 40 bits | ≤ 31 bits, with rotations |", "|---|---|---|---|---|"]
    for name, found in record["recall"].items():
        limits = [found[limit] for limit in ("20", "31", "40")]
        cells = [f"{100 * each:.1f} %" for each in (*limits, record["recall_with_rotations"][name]["31"])]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def main() -> None:
    """Measure, write duplicates.json, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", type=Path, nargs="+", help="folders and tar archives of JPEG files, no two alike")
    parser.add_argument("--most", type=int, default=3000)
    parser.add_argument("--altered", type=int, default=250)
    parser.add_argument("--out", type=Path, default=OUTPUT / "duplicates.json")
    arguments = parser.parse_args()
    record = {"date": time.strftime("%Y-%m-%d"), "machine": machine(), "distance": DISTANCE, "min_quality": MIN_QUALITY}
    record |= measured(arguments.pictures, arguments.most, arguments.altered)
    arguments.out.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    sys.stdout.write(table(record) + "\n")


if __name__ == "__main__":
    main()
