# SPDX-License-Identifier: Apache-2.0
"""Files take their places whole, the record of them last; a killed export leaves what was there."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from imagier_server.export.catalogue import CATALOGUE
from imagier_server.export.install import install
from imagier_server.model_lock import read_lock, verify_files

ROW = CATALOGUE["text_recognizer"]
OLD = {"1/model.onnx": b"old graph", "assets/charset.txt": b"old charset"}
NEW = {"1/model.onnx": b"new graph, longer", "assets/charset.txt": b"new charset"}

KILLED = """
import os, signal, sys
from pathlib import Path
from imagier_server.export.catalogue import CATALOGUE
from imagier_server.export.install import install

replace, left = Path.replace, int(sys.argv[2])

def replace_until_killed(self, target):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return replace(self, target)

Path.replace = replace_until_killed
files = {"1/model.onnx": b"new graph, longer", "assets/charset.txt": b"new charset"}
install(Path(sys.argv[1]), CATALOGUE["text_recognizer"], files, {})
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / ROW.role).mkdir()
    install(tmp_path, ROW, OLD, {"tool": "1"})
    return tmp_path


def content(repository: Path) -> dict[str, bytes]:
    return {path: (repository / ROW.role / path).read_bytes() for path in OLD}


def kill_after(repository: Path, renames: int) -> None:
    process = subprocess.run([sys.executable, "-c", KILLED, str(repository), str(renames)], check=False)
    assert process.returncode == -signal.SIGKILL


def test_what_is_installed_is_recorded(repository):
    model = read_lock(repository)[ROW.role]
    assert (model.source_digest, model.recipe, model.tools) == (ROW.source.sha256, ROW.recipe, {"tool": "1"})
    assert set(model.files) == {f"{ROW.role}/{path}" for path in OLD}
    assert verify_files(repository) == {ROW.role: ()}
    assert content(repository) == OLD


def test_files_can_be_read_by_whoever_runs_triton(repository):
    model = repository / ROW.role / "1/model.onnx"
    other = repository / "other"
    other.touch()
    assert model.stat().st_mode == other.stat().st_mode


def test_another_role_keeps_its_record(repository):
    other = CATALOGUE["tagger"]
    (repository / other.role).mkdir()
    install(repository, other, {"1/model.onnx": b"graph"}, {})
    assert verify_files(repository) == {ROW.role: (), other.role: ()}


def test_killed_before_the_first_rename_nothing_has_changed(repository):
    kill_after(repository, 0)
    assert content(repository) == OLD
    assert verify_files(repository) == {ROW.role: ()}


@pytest.mark.parametrize("renames", [1, 2])
def test_killed_between_renames_the_record_disowns_what_is_there(repository, renames):
    kill_after(repository, renames)
    assert len(verify_files(repository)[ROW.role]) == renames


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_the_next_export_repairs_what_a_killed_one_left(repository, renames):
    kill_after(repository, renames)
    install(repository, ROW, NEW, {})
    assert content(repository) == NEW
    assert verify_files(repository) == {ROW.role: ()}
    assert list(repository.rglob("*.partial")) == []


def test_an_engine_that_has_the_old_graph_open_keeps_it(repository):
    with (repository / ROW.role / "1/model.onnx").open("rb") as opened:
        install(repository, ROW, NEW, {})
        assert opened.read() == OLD["1/model.onnx"]
