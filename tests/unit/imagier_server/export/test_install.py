# SPDX-License-Identifier: Apache-2.0
"""Files take their places whole, the record of them last; a killed export leaves what was there."""

from __future__ import annotations

import dataclasses
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from imagier_server.export.catalogue import CATALOGUE
from imagier_server.export.install import Installation, fit_config, install, install_together
from imagier_server.model_lock import read_lock, verify_files

CONFIGS = Path(__file__).parents[4] / "model_repository"
ROW = CATALOGUE["text_recognizer"]
OLD = {"1/model.onnx": b"old graph", "assets/charset.txt": b"old charset"}
NEW = {"1/model.onnx": b"new graph, longer", "assets/charset.txt": b"new charset"}

KILLED = """
import os, signal, sys
from pathlib import Path
from imagier_server.export.catalogue import CATALOGUE
from imagier_server.export.install import fit_config, install

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


FULL = """
import resource, sys
from pathlib import Path
from imagier_server.export.catalogue import CATALOGUE
from imagier_server.export.install import install

files = {"1/model.onnx": b"new graph, longer", "assets/charset.txt": b"new charset"}
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    install(Path(sys.argv[1]), CATALOGUE["text_recognizer"], files, {})
except OSError as error:
    print(error.strerror)
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


@pytest.mark.parametrize("room", [8, 200], ids=["for no file", "not for the record"])
def test_on_a_full_disk_nothing_has_changed_and_nothing_is_left(repository, room):
    command = [sys.executable, "-c", FULL, repository, str(room)]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "File too large\n"
    assert content(repository) == OLD
    assert verify_files(repository) == {ROW.role: ()}
    assert list(repository.rglob("*.partial")) == []


def test_an_engine_that_has_the_old_graph_open_keeps_it(repository):
    with (repository / ROW.role / "1/model.onnx").open("rb") as opened:
        install(repository, ROW, NEW, {})
        assert opened.read() == OLD["1/model.onnx"]


def test_a_config_of_the_same_model_stays_as_it_is():
    config = (CONFIGS / "captioner/config.pbtxt").read_text("utf-8")
    (side,) = re.search(r'name: "pixels" data_type: TYPE_UINT8 dims: \[ (.*) \]', config).groups()
    (digest,) = re.search(r'"model_digest" value { string_value: "(.*?)"', config).groups()
    row = dataclasses.replace(ROW, recipe=1, source=dataclasses.replace(ROW.source, sha256=digest))
    assert fit_config(config, row, {"pixels": [int(number) for number in side.split(",")]}) == config


def test_a_config_is_fitted_to_digest_recipe_and_shapes_and_keeps_the_rest():
    config = (CONFIGS / "captioner/config.pbtxt").read_text("utf-8")
    row = dataclasses.replace(ROW, recipe=9, source=dataclasses.replace(ROW.source, sha256="5" * 64))
    fitted = fit_config(config, row, {"pixels": [384, 384, 3], "token_ids": [3, 30], "log_probabilities": [3]})
    assert re.findall(r"dims: \[ (.*) \]", fitted) == ["384, 384, 3", "3, 30", "3", "384, 384, 3", "384, 384, 3"]
    assert f'"model_digest" value {{ string_value: "{"5" * 64}" }}' in fitted
    assert '"export_recipe" value { string_value: "9" }' in fitted
    changed = [new for old, new in zip(config.splitlines(), fitted.splitlines(), strict=True) if old != new]
    assert len(changed) == 6


def test_a_config_takes_its_place_with_the_files_and_is_not_in_the_record(repository):
    install(repository, ROW, NEW, {}, "fitted")
    assert (repository / ROW.role / "config.pbtxt").read_text("utf-8") == "fitted"
    assert set(read_lock(repository)[ROW.role].files) == {f"{ROW.role}/{path}" for path in NEW}


def test_models_that_belong_together_are_installed_together_and_drop_what_does_not_go_with_them(repository):
    others = [dataclasses.replace(ROW, role=role) for role in ("text_detector", "text_line_orienter")]
    for row in others:
        (repository / row.role).mkdir()
    install(repository, ROW, OLD, {})
    install_together(repository, [Installation(row, NEW) for row in others], {}, without=[ROW.role])
    assert set(read_lock(repository)) == {row.role for row in others}
    assert verify_files(repository) == {row.role: () for row in others}
    assert not (repository / ROW.role / "1/model.onnx").exists(), "Triton loads every graph"


def test_of_models_that_belong_together_none_is_installed_if_one_cannot_be(repository):
    install(repository, ROW, OLD, {})
    before = read_lock(repository)
    other = dataclasses.replace(ROW, role="text_detector")
    (repository / "text_detector").write_bytes(b"a file where its folder should be")
    with pytest.raises(OSError, match="text_detector"):
        install_together(repository, [Installation(ROW, NEW), Installation(other, NEW)], {})
    assert read_lock(repository) == before
    assert verify_files(repository) == {ROW.role: ()}


@pytest.mark.parametrize(
    ("shape", "warm"),
    [([-1], ["8", "32"]), ([64], ["64", "64"])],
)
def test_a_free_side_is_warmed_up_at_lengths_that_every_model_takes(shape, warm):
    lengths = ["8", "100" if shape == [-1] else "32"]
    config = f'{{ name: "tokens" data_type: TYPE_INT64 dims: [ {"-1" if shape != [-1] else "64"} ] }}\n'
    config += "\n".join(
        f'inputs {{ key: "tokens" value {{ data_type: TYPE_INT64 dims: [ {length} ] zero_data: true }} }}'
        for length in lengths
    )
    fitted = fit_config(config, ROW, {"tokens": shape})
    assert re.findall(r"dims: \[ (.*?) \]", fitted) == [str(shape[0]), *warm]
