# SPDX-License-Identifier: Apache-2.0
"""The export as a whole, on the smallest model: what it does, what it leaves alone, how it fails."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from imagier_server import export
from imagier_server.export import ExportError, State
from imagier_server.export.install import install
from imagier_server.model_lock import LOCK_NAME

CONFIGS = Path(__file__).parents[4] / "model_repository"
ROLE = "text_line_orienter"
GRAPH = f"{ROLE}/1/model.onnx"
OWN_TERMS = "Nobody has stated the terms of this checkpoint here: whether they allow your use is for you to know."


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for role in export.CATALOGUE:
        (tmp_path / role).mkdir()
        shutil.copy(CONFIGS / role / "config.pbtxt", tmp_path / role)
    return tmp_path


def states(repository: Path) -> dict[str, State]:
    return {role: standing.state for role, standing in export.status(repository).items()}


@pytest.fixture
def exported(repository: Path) -> Path:
    export.install_models(repository, [ROLE])
    return repository


def test_a_fresh_repository_lacks_every_model(repository):
    assert states(repository) == dict.fromkeys(export.CATALOGUE, State.MISSING)


def test_a_role_is_exported_and_the_others_are_left(repository):
    lines: list[str] = []
    assert export.install_models(repository, [ROLE], on_progress=lines.append) == {ROLE: State.MISSING}
    assert states(repository) == dict.fromkeys(export.CATALOGUE, State.MISSING) | {ROLE: State.CURRENT}
    assert (repository / GRAPH).stat().st_size > 500_000
    assert [line.split(":")[0] for line in lines] == [ROLE] * 3


def written(path: Path) -> tuple[int, int]:
    """Which file it is and when it was written; reading it to compare its digest is no change."""
    status = path.stat()
    return status.st_ino, status.st_mtime_ns


def test_with_everything_current_nothing_is_done_and_pytorch_is_not_imported(exported):
    before = written(exported / GRAPH)
    code = (
        "import sys; from pathlib import Path; from imagier_server import export; "
        f"print(*export.install_models(Path(sys.argv[1]), ['{ROLE}']).values(), {{'torch', 'onnx', 'numpy'}} & set(sys.modules))"
    )
    answer = subprocess.run([sys.executable, "-c", code, exported], check=True, capture_output=True, text=True).stdout
    assert answer == "current set()\n"
    assert written(exported / GRAPH) == before


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"not a graph")])
def test_a_damaged_model_is_stale_and_exported_again(exported, damage):
    whole = (exported / GRAPH).read_bytes()
    damage(exported / GRAPH)
    assert export.status(exported)[ROLE].state is State.STALE
    assert export.install_models(exported, [ROLE]) == {ROLE: State.STALE}
    assert (exported / GRAPH).read_bytes() == whole


@pytest.mark.parametrize("change", ['"recipe": 0', '"recipe": 99'])
def test_a_model_of_another_recipe_is_stale(exported, change):
    lock = exported / LOCK_NAME
    lock.write_text(lock.read_text("utf-8").replace('"recipe": 1', change), "utf-8")
    assert export.status(exported)[ROLE].state is State.STALE


@pytest.mark.parametrize("name", ["captioner.json", "tokenizer.json"])
def test_a_change_beside_the_weights_makes_a_model_stale(repository, name):
    shutil.copytree(CONFIGS / "captioner/source", repository / "captioner/source")
    beside = {name: repository / "captioner/source" / name for name in ("captioner.json", "tokenizer.json")}
    files = {f"assets/{name}": path.read_bytes() for name, path in beside.items()}
    install(repository, export.CATALOGUE["captioner"], files, {})
    assert states(repository)["captioner"] is State.CURRENT
    beside[name].write_bytes(beside[name].read_bytes() + b"\n")
    assert states(repository)["captioner"] is State.STALE


@pytest.mark.parametrize("stage", ["convert.convert", "verify.verify"])
def test_a_broken_export_leaves_the_old_model_in_place(exported, monkeypatch, stage):
    graph, lock = exported / GRAPH, exported / LOCK_NAME
    lock.write_text(lock.read_text("utf-8").replace('"recipe": 1', '"recipe": 0'), "utf-8")
    before = graph.read_bytes(), lock.read_bytes()

    def broken(*_):
        raise ExportError(f"{ROLE}: it reads nothing right")

    monkeypatch.setattr(f"imagier_server.export.{stage}", broken)
    with pytest.raises(ExportError, match="nothing right"):
        export.install_models(exported, [ROLE])
    assert (graph.read_bytes(), lock.read_bytes()) == before


def test_an_unknown_role_is_refused_with_those_there_are(repository):
    with pytest.raises(ExportError, match="no model soothsayer; there are: tagger, text_detector"):
        export.install_models(repository, ["soothsayer"])


def test_a_folder_without_configs_is_no_repository(tmp_path):
    with pytest.raises(ExportError, match=r"no tagger/config\.pbtxt"):
        export.install_models(tmp_path)


def test_a_damaged_record_is_an_error_that_says_what_to_do(repository):
    (repository / LOCK_NAME).write_text("{", "utf-8")
    with pytest.raises(ExportError, match=f"{LOCK_NAME} is damaged"):
        export.status(repository)


def test_without_its_packages_the_export_names_the_extra(repository, monkeypatch):
    for stage in ("convert", "verify"):
        monkeypatch.delitem(sys.modules, f"imagier_server.export.{stage}", raising=False)
        monkeypatch.delattr(export, stage, raising=False)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ExportError, match=r"onnx is not installed; run: pip install 'imagier\[export,cpu\]'"):
        export.install_models(repository, [ROLE])


@pytest.fixture
def research_only(monkeypatch):
    """The orienter as a model for research only."""
    row = dataclasses.replace(export.CATALOGUE[ROLE], research_only=True, terms="Only to study.")
    monkeypatch.setattr(export, "CATALOGUE", {ROLE: row})


def test_a_model_for_research_only_is_refused_by_name_and_otherwise_left_out(research_only, repository):
    with pytest.raises(ExportError, match=r"is for research only\. Only to study\. Accept: --accept research-only"):
        export.install_models(repository, [ROLE])
    lines: list[str] = []
    export.install_models(repository, on_progress=lines.append)
    assert lines == [f"{ROLE}: left out, for research only: imagier models install {ROLE} --accept research-only"]
    assert states(repository) == {ROLE: State.MISSING}


def test_a_model_for_research_only_is_installed_with_a_notice_if_that_is_accepted(research_only, repository):
    lines: list[str] = []
    export.install_models(repository, accept_research_only=True, on_progress=lines.append)
    assert lines[0] == f"{ROLE}: NOTICE: Only to study."
    assert states(repository) == {ROLE: State.CURRENT}


def test_what_was_chosen_instead_of_the_default_is_kept(exported, monkeypatch):
    other = dataclasses.replace(export.CATALOGUE[ROLE], brand="another")
    monkeypatch.setattr(export, "CATALOGUE", {ROLE: other})
    lines: list[str] = []
    export.install_models(exported, on_progress=lines.append)
    assert lines == [f"{ROLE}: ch_ppocr_mobile_v2.0_cls kept"]


def test_a_brand_that_a_role_does_not_have_is_refused_with_those_there_are(repository):
    with pytest.raises(ExportError, match=f"{ROLE} has no cheaper; there are: ch_ppocr_mobile_v2.0_cls"):
        export.install_models(repository, [f"{ROLE}=cheaper"])


def test_a_checkpoint_of_ones_own_comes_with_a_notice_that_its_terms_are_unknown(repository, tmp_path_factory):
    lines: list[str] = []
    with pytest.raises(ExportError, match="it is no checkpoint of transformers"):
        export.install_models(repository, [f"captioner={tmp_path_factory.mktemp('empty')}"], on_progress=lines.append)
    assert lines == [f"captioner: NOTICE: {OWN_TERMS}"]
