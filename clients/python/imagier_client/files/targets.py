# SPDX-License-Identifier: Apache-2.0
"""Files for results: their names replace no picture and no other result, and a file is complete or absent."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


class Targets:
    """The names of one run's files. None is one of `pictures`, those that were named, and none is given twice."""

    def __init__(self, pictures: Iterable[Path]) -> None:
        # Compared without case: some file systems do not tell.
        self._taken = {os.path.realpath(picture).lower() for picture in pictures}

    def take(self, folder: Path, name: str, suffix: str, kept: Callable[[Path], bool] = lambda _: False) -> Path:
        """`<name><suffix>` in `folder`, or `<name>-2<suffix>` and so on if that is taken, or there and to be `kept`."""
        number = 1
        while True:
            target = folder / f"{name}{f'-{number}' if number > 1 else ''}{suffix}"
            real = os.path.realpath(target).lower()
            if real not in self._taken and not kept(target):
                self._taken.add(real)
                return target
            number += 1


@contextmanager
def whole(target: Path) -> Iterator[IO[bytes]]:
    """A file that takes the place of `target` once it is complete; nothing is left of one that is not. Raises OSError."""
    unfinished = target.with_name(f".imagier-{secrets.token_hex(8)}.part")
    try:
        with unfinished.open("xb") as file:
            yield file
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
