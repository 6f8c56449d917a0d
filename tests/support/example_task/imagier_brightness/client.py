# SPDX-License-Identifier: Apache-2.0
"""The brightness task in the client: `client.annotate(picture, Brightness())`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from imagier_client.tasks.flags import Flag
from imagier_client.tasks.shown import Line, Section
from imagier_client.tasks.task import Task, TaskOptions, TaskResult
from imagier_client.tasks.wire import common, fill

from imagier_brightness import brightness_pb2


@dataclass(frozen=True, slots=True)
class BrightnessResult(TaskResult):
    """The brightness task's answer: `mean`, 0 (black) to 1 (white)."""

    mean: float = 0.0


@dataclass(frozen=True, slots=True)
class Brightness(TaskOptions[BrightnessResult]):
    """Asks for the brightness of the picture, or of the share `center` around its centre; `None` is the server's default."""

    task: ClassVar[str] = "brightness"
    center: float | None = None


def write(message: brightness_pb2.BrightnessOptions, options: Brightness) -> None:
    """Puts the options into the message. Raises InvalidRequestError."""
    fill(message, "brightness.", center=options.center)


def read(message: brightness_pb2.BrightnessResult, languages: Sequence[str]) -> BrightnessResult:
    """The message as a value."""
    del languages
    return BrightnessResult(**common(message), mean=message.mean)


def show(result: BrightnessResult, languages: Sequence[str] | None) -> Section:
    """One line, such as: brightness 0.25 dark."""
    del languages
    return Section(
        "brightness", (Line(("bright" if result.mean > 0.5 else "dark",), result.mean),) if result.ok else ()
    )


TASK = Task(
    options=Brightness,
    options_message=brightness_pb2.BrightnessOptions,
    result_message=brightness_pb2.BrightnessResult,
    write=write,
    read=read,
    show=show,
    flags=(Flag("center", "Measure this share around the centre, 0.1 to 1.", minimum=0.1, maximum=1),),
)
