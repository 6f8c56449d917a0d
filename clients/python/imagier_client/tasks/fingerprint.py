# SPDX-License-Identifier: Apache-2.0
"""The fingerprint task: a perceptual hash, by which copies of a picture are found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from imagier.v1 import fingerprint_pb2

from imagier_client.tasks.flags import Flag
from imagier_client.tasks.shown import Line, Section
from imagier_client.tasks.task import Task, TaskOptions, TaskResult
from imagier_client.tasks.wire import common, fill


@dataclass(frozen=True, slots=True)
class FingerprintResult(TaskResult):
    """The fingerprint task's answer: the PDQ `hash`, 32 bytes, and its `quality`, 0 to 100; `find_duplicates` groups them.

    `rotations`, if asked for, are seven hashes: of the picture turned clockwise by 90°, 180° and 270°; mirrored left to right; and
    mirrored, then turned likewise.
    """

    hash: bytes = b""
    quality: int = 0
    rotations: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Fingerprint(TaskOptions[FingerprintResult]):
    """Asks for the picture's fingerprint; `rotations`: for those of the picture turned and mirrored too."""

    task: ClassVar[str] = "fingerprint"
    rotations: bool = False


def write(message: fingerprint_pb2.FingerprintOptions, options: Fingerprint) -> None:
    """Puts the options into the message. Raises InvalidRequestError."""
    fill(message, "fingerprint.", rotations=options.rotations)


def read(message: fingerprint_pb2.FingerprintResult, languages: Sequence[str]) -> FingerprintResult:
    """The message as a value."""
    del languages
    return FingerprintResult(
        **common(message), hash=message.hash, quality=message.quality, rotations=tuple(message.rotations)
    )


def show(result: FingerprintResult, languages: Sequence[str] | None) -> Section:
    """The hash in hexadecimal digits, its quality from 0 to 1 as the score; then those of the rotations."""
    del languages
    if not result.hash:
        return Section("print", heading="fingerprint")
    lines = (
        Line((result.hash.hex(),), result.quality / 100),
        *(Line((turned.hex(),), kind="turned") for turned in result.rotations),
    )
    return Section("print", lines, heading="fingerprint")


TASK = Task(
    options=Fingerprint,
    options_message=fingerprint_pb2.FingerprintOptions,
    result_message=fingerprint_pb2.FingerprintResult,
    write=write,
    read=read,
    show=show,
    flags=(Flag("rotations", "Also the hashes of the picture turned and mirrored."),),
)
