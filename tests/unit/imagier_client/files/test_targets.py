# SPDX-License-Identifier: Apache-2.0
"""No file takes the place of another that matters, and none is there by halves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from imagier_client.files.targets import Targets, whole


def test_names_that_are_taken_get_numbers(tmp_path: Path) -> None:
    (tmp_path / "x.txt").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    targets = Targets([tmp_path / "link" / "X.txt", tmp_path / "y.jpg"])
    assert [targets.take(tmp_path, name, ".txt").name for name in ("x", "y", "Y", "x")] == [
        "x-2.txt",
        "y.txt",
        "Y-2.txt",
        "x-3.txt",
    ]


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "x"
    target.write_bytes(b"old")
    with whole(target) as file:
        file.write(b"new")
        assert target.read_bytes() == b"old"
    assert target.read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert target.stat().st_mode & 0o777 == 0o666 & ~_umask()


def test_nothing_is_left_of_a_failure(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(ZeroDivisionError), whole(tmp_path / "x"):
        raise ZeroDivisionError
    with pytest.raises(IsADirectoryError), whole(tmp_path / "folder") as file:
        file.write(b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_name_as_long_as_the_file_system_takes(tmp_path: Path) -> None:
    with whole(tmp_path / ("x" * 255)) as file:
        file.write(b"new")
    assert [len(path.name) for path in tmp_path.iterdir()] == [255]


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask
