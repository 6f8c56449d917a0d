# SPDX-License-Identifier: Apache-2.0
"""`imagier duplicates`: reads the JSON lines of `imagier annotate --tasks fingerprint`, and writes which pictures are copies."""

from __future__ import annotations

import base64
import binascii
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from imagier_client.cli.command import ALL_GOOD, NO_SERVER, SOME_FAILED, USAGE, run
from imagier_client.cli.jsonl import dumps
from imagier_client.cli.printing import Printer
from imagier_client.cli.table import printable
from imagier_client.cli.task_options import number_from
from imagier_client.tasks.fingerprint import FingerprintResult

if TYPE_CHECKING:
    from imagier_client.duplicates import Duplicates

STDIN = "-"
HINT = "pip install 'imagier[duplicates]'"
EPILOG = """Examples:

imagier annotate photos --tasks fingerprint --format jsonl > prints.jsonl

imagier duplicates prints.jsonl

imagier annotate photos --tasks fingerprint --fingerprint-rotations --format jsonl | imagier duplicates - --format jsonl

Exit status: 0 done, 1 some lines had no fingerprint, 2 wrong usage, 3 no numpy, 4 no output, 130 interrupted."""


def duplicates(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="Lines of `imagier annotate --tasks fingerprint --format jsonl`; - for stdin."
        ),
    ],
    distance: Annotated[
        int, typer.Option(callback=number_from(0, 255), metavar="N", help="Bits of 256 in which copies may differ.")
    ] = 31,
    min_quality: Annotated[
        int,
        typer.Option(callback=number_from(0, 100), metavar="N", help="Leave out pictures with less to see, 0 to 100."),
    ] = 50,
    style: Annotated[Literal["table", "jsonl"], typer.Option("--format", help="For people or for programs.")] = "table",
) -> int:
    """Say which pictures are copies of one another, by their fingerprints. It asks no server."""
    return run(_duplicates(file, distance, min_quality, style))


async def _duplicates(file: str, distance: int, min_quality: int, style: str) -> int:
    printer = Printer(style, ())
    try:
        from imagier_client.duplicates import find_duplicates  # noqa: PLC0415 - only this command needs numpy
    except ModuleNotFoundError:
        printer.note(f"imagier duplicates: numpy is not installed; run: {HINT}")
        return NO_SERVER
    paths: list[str] = []
    prints: list[FingerprintResult] = []
    try:
        for path, found in _opened(file):
            paths.append(path)
            prints.append(found)
    except OSError as error:
        printer.note(f"imagier duplicates: {printable(file)}: {error.strerror}")
        return USAGE
    except ValueError as error:
        printer.note(f"imagier duplicates: {printable(file)}: {error}")
        return USAGE
    groups = find_duplicates(prints, distance, min_quality)
    for group in groups:
        for line in shown(group, paths, style):
            sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
    without = sum(not each.hash for each in prints)
    poor = sum(bool(each.hash) and each.quality < min_quality for each in prints)
    copies = sum(len(group.members) - 1 for group in groups)
    printer.note(
        f"{len(prints)} pictures, {copies} copies in {len(groups)} groups, "
        f"{poor} with too little to see, {without} without a fingerprint"
    )
    return SOME_FAILED if without else ALL_GOOD


def _opened(file: str) -> Iterator[tuple[str, FingerprintResult]]:
    with nullcontext(sys.stdin.buffer) if file == STDIN else Path(file).open("rb") as lines:
        yield from read(lines)


def read(lines: Iterable[bytes]) -> Iterator[tuple[str, FingerprintResult]]:
    """(path, fingerprint) of each line; an empty hash for a picture that failed. Raises `ValueError`, which names the line."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            content = json.loads(line)
            path, found = content["path"], _fingerprint(content.get("response", {}))
            if not isinstance(path, str):
                raise TypeError
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, binascii.Error):
            raise ValueError(
                f"line {number} is none of `imagier annotate --tasks fingerprint --format jsonl`"
            ) from None
        yield path, found


def _fingerprint(response: dict[str, Any]) -> FingerprintResult:
    found = response.get("fingerprint", {})
    hashes = [base64.b64decode(each, validate=True) for each in (found.get("hash", ""), *found.get("rotations", ()))]
    quality = found.get("quality", 0)
    if not isinstance(quality, int) or any(len(each) not in {0, 32} for each in hashes):
        raise ValueError
    return FingerprintResult(hash=hashes[0], quality=quality, rotations=tuple(filter(None, hashes[1:])))


def shown(group: Duplicates, paths: list[str], style: str) -> Iterator[str]:
    """A group's lines: one of JSON; or for people the first picture, its copies below it with the bits that differ."""
    named = [paths[member] for member in group.members]
    if style == "jsonl":
        yield dumps({"paths": named, "distances": group.distances})
        return
    first, *others = named
    yield printable(first)
    for path, distance in zip(others, group.distances[1:], strict=True):
        yield f"  {distance:3}  {printable(path)}"
