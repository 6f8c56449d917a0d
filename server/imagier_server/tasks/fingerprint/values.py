# SPDX-License-Identifier: Apache-2.0
"""Options and results of the fingerprint task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FingerprintOptions:
    """Options of the fingerprint task. `rotations`: the hashes of the picture turned and mirrored too."""

    rotations: bool = False
    characters: ClassVar[int] = 0


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Result of the fingerprint task: the PDQ hash, 32 bytes, and its quality, 0 to 100.

    `rotations`, if asked for: the seven hashes of the picture turned and mirrored, in the order of `task.orientations`.
    """

    hash: bytes
    quality: int
    rotations: tuple[bytes, ...] = ()
