# SPDX-License-Identifier: Apache-2.0
"""Reading a picture's file: at the last moment, never too much, never for ever."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from imagier_client.errors import ImageTooLargeError, UnreadableFileError
from imagier_client.messages import Limits
from imagier_client.reading import read_image

TEN = Limits(10, 0, 0, 0, 0)
ANY = Limits(0, 0, 0, 0, 0)


def test_bytes_and_files_alike(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(10))
    assert read_image(path, TEN) == read_image(bytes(10), TEN) == bytes(10)
    path.write_bytes(bytes(11))
    assert len(read_image(path, ANY)) == 11
    for image in (path, bytes(11)):
        with pytest.raises(ImageTooLargeError, match="11 bytes; this server takes 10") as caught:
            read_image(image, TEN)
        assert caught.value.field == "image"


def test_what_is_not_a_readable_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "missing", tmp_path / "loop", Path("/dev/zero")):
        with pytest.raises(UnreadableFileError) as caught:
            read_image(path, TEN)
        assert str(tmp_path) not in str(caught.value)


def test_a_file_that_says_nothing_of_its_size_is_capped_too() -> None:
    # Files below /proc have size 0 and content.
    with pytest.raises(ImageTooLargeError):
        read_image(Path("/proc/self/status"), TEN)


def test_a_name_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError):
        read_image(tmp_path / "a\0b", ANY)
