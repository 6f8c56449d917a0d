# SPDX-License-Identifier: Apache-2.0
"""The embedded engine's private folder in /dev/shm, with the same name prefix as the Python backend's regions.

The folder is locked while the gateway, Triton or a stub lives; an unlocked one is abandoned.
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
        """Name prefix of the Python backend's shared memory regions."""
        return f"{self.path.name}-"

    def close_regions(self) -> None:
        """Make the regions private, where the launcher could not do so at their creation (no seccomp)."""
        for region in _regions(self.path):
            region.chmod(0o600)

    def remove_regions(self) -> None:
        """Remove the shared memory that a dead Triton left."""
        for region in _regions(self.path):
            region.unlink(missing_ok=True)


@contextmanager
def scratch(root: Path = SHARED_MEMORY) -> Iterator[Scratch]:
    """Create the folder, after removing abandoned ones; remove it and its regions at the end."""
    remove_abandoned(root)
    path, lock = _create(root)
    try:
        yield Scratch(path, lock)
    finally:
        _remove(path)
        os.close(lock)


def remove_abandoned(root: Path = SHARED_MEMORY) -> None:
    """Remove the folders and regions of dead engines. Other users' files are not touched.

    Locks are reliable where process ids are not: those are reused, and differ between containers that share /dev/shm.
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
    """Our own regions: in a shared folder another user may have created a file or link with such a name."""
    for region in path.parent.glob(f"{path.name}-*"):
        with suppress(FileNotFoundError):
            status = region.lstat()
            if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid():
                yield region
