# SPDX-License-Identifier: Apache-2.0
"""The embedded engine's private place: one folder in /dev/shm, beside the Python backend's regions, all under one name.

The folder is locked as long as the gateway, Triton or one of its stubs lives; what nobody locks was abandoned.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  where shm_open(3) puts the Python backend's regions
PREFIX = "imagier-triton-"


@dataclass(frozen=True, slots=True)
class Scratch:
    """A folder of ours (mode 0700) and the open file that holds its lock, for the child processes to inherit."""

    path: Path
    lock: int

    @property
    def region_prefix(self) -> str:
        """What the names of the Python backend's shared memory regions must begin with."""
        return f"{self.path.name}-"

    def close_regions(self) -> None:
        """Hide from other users of the machine what passes through the regions: the Python backend makes them readable to all."""
        for region in _regions(self.path):
            region.chmod(0o600)


@contextmanager
def scratch(root: Path = SHARED_MEMORY) -> Iterator[Scratch]:
    """Make the folder, after removing what dead engines left; remove it and its regions at the end."""
    remove_abandoned(root)
    path, lock = _create(root)
    try:
        yield Scratch(path, lock)
    finally:
        _remove(path)
        os.close(lock)


def remove_abandoned(root: Path = SHARED_MEMORY) -> None:
    """Remove the folders and regions of engines of which no process lives. Others' files are not touched.

    A lock needs no guess about process numbers, which are used again, and differ between containers that share /dev/shm.
    """
    for path in root.glob(f"{PREFIX}*/"):
        with suppress(OSError):  # another user's, in use, or being removed by another gateway
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(lock).st_uid == os.geteuid():
                    _remove(path)
            finally:
                os.close(lock)


def _create(root: Path) -> tuple[Path, int]:
    while True:
        path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=root))
        with suppress(FileNotFoundError):
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if os.fstat(lock).st_nlink:
                return path, lock
            os.close(lock)  # another gateway took it for abandoned before we held the lock


def _remove(path: Path) -> None:
    for region in _regions(path):
        region.unlink(missing_ok=True)
    shutil.rmtree(path, ignore_errors=True)


def _regions(path: Path) -> Iterator[Path]:
    """Ours alone: where everybody may make files, another user may have made one of such a name, or a link."""
    for region in path.parent.glob(f"{path.name}-*"):
        with suppress(FileNotFoundError):
            status = region.lstat()
            if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid():
                yield region
