# SPDX-License-Identifier: Apache-2.0
"""The fingerprint task: PDQ of the picture, and of its other orientations on request. It needs no model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from imagier_server.messages import Picture
from imagier_server.tasks.fingerprint import pdq
from imagier_server.tasks.fingerprint.values import Fingerprint, FingerprintOptions
from imagier_server.tasks.options import Option, check
from imagier_server.tasks.task import LimitInfo, Steps
from imagier_server.timings import Stage

SIDE: Final = 512
"""PDQ's own tool hashes every larger picture at 512 × 512. Smaller ones are enlarged here, so that all sizes agree."""

Luma = npt.NDArray[np.float32]
"""(SIDE, SIDE), 0 to 255."""


@dataclass(frozen=True, slots=True)
class FingerprintTask:
    """Hashes the picture in a compute thread, at one size whatever its own."""

    name: ClassVar[str] = "fingerprint"
    models: ClassVar[tuple[str, ...]] = ()
    optional: ClassVar[bool] = False
    price: ClassVar[int] = 1
    objective_seconds: ClassVar[float] = 1.0
    languages: ClassVar[tuple[str, ...]] = ()
    scripts: ClassVar[tuple[str, ...]] = ()
    limits: ClassVar[tuple[LimitInfo, ...]] = ()
    options: ClassVar[tuple[Option, ...]] = (Option("rotations", "false"),)

    @classmethod
    def load(cls, repository: Path) -> FingerprintTask:
        """Load nothing."""
        del repository
        return cls()

    def check(self, options: FingerprintOptions) -> None:
        """Raises `InvalidRequestError`."""
        check(self.name, self.options, options)

    def scale(self, width: int, height: int) -> float:
        """The scale at which the shorter side equals the side that is hashed."""
        return min(1.0, SIDE / min(width, height))

    async def run(
        self, picture: Picture, options: FingerprintOptions, languages: tuple[str, ...], steps: Steps
    ) -> Fingerprint:
        """No inference."""
        del languages
        luma = await steps.compute(Stage.PREPARE, prepare, picture)
        return await steps.compute(Stage.FINISH, finish, luma, options)


def prepare(picture: Picture) -> Luma:
    """Squash the whole picture to a square, whatever its aspect ratio, and take its luma (ITU-R BT.601)."""
    square = Image.fromarray(picture.pixels).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return np.asarray(cv2.cvtColor(np.asarray(square, np.float32), cv2.COLOR_RGB2GRAY))


def finish(luma: Luma, options: FingerprintOptions) -> Fingerprint:
    """Hash the luma, and its other orientations if they are asked for."""
    upright, *others = orientations(luma) if options.rotations else (pdq.samples(luma),)
    return Fingerprint(pdq.bits(upright), pdq.quality(upright), tuple(pdq.bits(each) for each in others))


def orientations(luma: Luma) -> Iterator[pdq.Reals]:
    """PDQ's samples of the picture turned clockwise by 0°, 90°, 180° and 270°, then of its mirror image (left to right) likewise.

    PDQ samples a little off the centre of each block, so that its samples turned are not those of the turned picture: each flip is
    sampled anew. Both axes are sampled alike, so that swapping them costs nothing.
    """
    flips = {(x, y): pdq.samples(luma[::y, ::x]) for x in (1, -1) for y in (1, -1)}
    for across in (1, -1):
        yield flips[across, 1]
        yield flips[across, -1].T
        yield flips[-across, -1]
        yield flips[-across, 1].T
