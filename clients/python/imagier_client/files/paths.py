# SPDX-License-Identifier: Apache-2.0
"""Search for pictures: files are taken as given, folders are searched while the run goes on."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from imagier_client.errors import UnreadableFileError

SUFFIXES = frozenset(
    ".avif .bmp .gif .heic .heif .hif .j2k .jfif .jp2 .jpe .jpeg .jpg .jpx .mpo .png .tif .tiff .webp".split()  # noqa: SIM905
)

COPY_SUFFIXES = (".annotated.jpg", ".annotated.png")
"""How the names of drawn copies end."""

STDIN, UNNAMED = Path("-"), "stdin"
"""A picture on standard input; what files are called that are made of it."""

Found = tuple[Path, UnreadableFileError | None]
"""A picture, or why a path gives none."""

_HEAD = 24
_STARTS = (
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"GIF87a",
    b"GIF89a",
    b"\0\0\0\x0cjP  \r\n\x87\n",
    b"\xff\x4f\xff\x51",
)
# TIFF's, and that of most cameras' raw files: it tells only where no ending says otherwise.
_TIFF_STARTS = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
_BRANDS = {b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"mif1"}


def find_pictures(
    paths: Iterable[Path], copies: Path | None = None, passed_over: Callable[[Path], None] = lambda _: None
) -> Iterator[Found]:
    """Each picture, or why a path gives none. Those drawn into the folder `copies` by an earlier run are none of them.

    A file is taken as given: the server judges it. A folder is searched while what it gives is taken, in order of name, its folders
    too; hidden entries are skipped, links to folders not followed. In folders a picture is known by its suffix, or by its first
    bytes; `passed_over` is told of everything else.
    """
    for path in paths:
        if path == STDIN:
            yield path, None
            continue
        try:
            folder = stat.S_ISDIR(path.stat().st_mode)
        except (OSError, ValueError) as error:
            yield path, _unreadable(error)
            continue
        if folder:
            yield from _search(path, os.path.realpath(copies) if copies else None, passed_over)
        else:
            yield path, None


def looks_like_picture(path: Path) -> bool:
    """Returns whether the first bytes are those of a picture; False for a pipe, and for a file that cannot be read."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return False
            head = file.read(_HEAD)
    except OSError:
        return False
    return (
        head.startswith(_STARTS)
        or (not path.suffix and head.startswith(_TIFF_STARTS))
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        or (head[:2] == b"BM" and head[15:18] == b"\0\0\0")
        or (head[4:8] == b"ftyp" and head[8:12] in _BRANDS)
    )


def _search(folder: Path, copies: str | None, passed_over: Callable[[Path], None]) -> Iterator[Found]:
    found: list[tuple[Path, os.DirEntry[str] | None]] = [(folder, None)]  # the last one is next
    while found:
        path, entry = found.pop()
        if entry is not None and not _is_folder(entry):
            if path.suffix.lower() in SUFFIXES or looks_like_picture(path):
                yield path, None
            else:
                passed_over(path)
            continue
        try:
            with os.scandir(path) as entries:
                visible = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda e: e.name)
        except OSError as error:
            yield path, _unreadable(error)
            continue
        if os.path.realpath(path) == copies:
            visible = [entry for entry in visible if not entry.name.endswith(COPY_SUFFIXES)]
        found += [(path / entry.name, entry) for entry in reversed(visible)]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:  # gone meanwhile
        return False


def _unreadable(error: OSError | ValueError) -> UnreadableFileError:
    return UnreadableFileError(getattr(error, "strerror", None) or str(error), field="image")
