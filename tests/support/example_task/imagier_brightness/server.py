# SPDX-License-Identifier: Apache-2.0
"""The brightness task on the server: options, result, `prepare`, `finish`, `run`, and how both travel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from imagier_server.messages import Picture, Tensors
from imagier_server.tasks.options import Option, check
from imagier_server.tasks.task import LimitInfo, Steps
from imagier_server.timings import Stage
from imagier_server.transport.codecs.codec import TaskCodec, unset

from imagier_brightness import brightness_pb2

MODEL = "photometer"
SIDE = 64
"""Pixels, at most, along the shorter side of what is measured."""


@dataclass(frozen=True, slots=True)
class BrightnessOptions:
    """How brightness is wanted; `None` is the server's default."""

    center: float | None = None
    characters: ClassVar[int] = 0


@dataclass(frozen=True, slots=True)
class Brightness:
    """Result of the brightness task: `mean`, 0 (black) to 1 (white)."""

    mean: float


@dataclass(frozen=True, slots=True)
class BrightnessTask:
    """Asks the photometer once."""

    name: ClassVar[str] = "brightness"
    models: ClassVar[tuple[str, ...]] = (MODEL,)
    optional: ClassVar[bool] = True
    price: ClassVar[int] = 1
    objective_seconds: ClassVar[float] = 1.0
    languages: ClassVar[tuple[str, ...]] = ()
    scripts: ClassVar[tuple[str, ...]] = ()
    limits: ClassVar[tuple[LimitInfo, ...]] = ()
    options: ClassVar[tuple[Option, ...]] = (Option("center", "1", 0.1, 1),)

    @classmethod
    def load(cls, repository: Path) -> BrightnessTask:
        """It has no assets."""
        del repository
        return cls()

    def check(self, options: BrightnessOptions) -> None:
        """Raises `InvalidRequestError`."""
        check(self.name, self.options, options)

    def scale(self, width: int, height: int) -> float:
        """The shorter side as long as what is measured."""
        return min(1.0, SIDE / min(width, height))

    async def run(
        self, picture: Picture, options: BrightnessOptions, languages: tuple[str, ...], steps: Steps
    ) -> Brightness:
        """One inference of one row."""
        del languages
        inputs = await steps.compute(Stage.PREPARE, prepare, picture, 1.0 if options.center is None else options.center)
        outputs = await steps.infer(MODEL, inputs)
        return await steps.compute(Stage.FINISH, finish, outputs)


def prepare(picture: Picture, center: float) -> Tensors:
    """The centre of the picture as `pixels` UINT8 [1, H, W, 3]."""
    height, width, _ = picture.pixels.shape
    top, left = int(height * (1 - center) / 2), int(width * (1 - center) / 2)
    return {"pixels": picture.pixels[np.newaxis, top : height - top, left : width - left]}


def finish(outputs: Tensors) -> Brightness:
    """`mean` FP32 [1, 1], 0 to 255 → 0 to 1."""
    return Brightness(float(outputs["mean"][0, 0]) / 255)


def read(message: brightness_pb2.BrightnessOptions) -> BrightnessOptions:
    """The options as a value."""
    return BrightnessOptions(center=unset(message, "center"))


def write(result: brightness_pb2.BrightnessResult, brightness: Brightness, size: tuple[int, int]) -> None:
    """Puts the result into the message."""
    del size
    result.mean = brightness.mean


CODEC = TaskCodec("brightness", brightness_pb2.BrightnessOptions, brightness_pb2.BrightnessResult, read, write)
