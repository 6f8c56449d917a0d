# SPDX-License-Identifier: Apache-2.0
"""The record of what is installed: written, read back, and compared with the files."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
from imagier_server.model_lock import (
    LOCK_NAME,
    LockedFile,
    LockedModel,
    ModelLockError,
    copy_repository,
    damaged_files,
    read_lock,
    require_intact,
    verify_files,
    write_lock_text,
)

GRAPH = b"a graph"


@pytest.fixture
def model() -> LockedModel:
    return LockedModel(
        role="tagger",
        brand="brand",
        version="1.2",
        source="https://example.org/",
        source_digest="0" * 64,
        recipe=3,
        licence="MIT",
        research_only=True,
        languages=("en", "zh-Hans"),
        files={"tagger/1/model.onnx": LockedFile(hashlib.sha256(GRAPH).hexdigest(), len(GRAPH))},
        tools={"onnx": "1"},
    )


@pytest.fixture
def repository(tmp_path: Path, model: LockedModel) -> Path:
    (tmp_path / "tagger/1").mkdir(parents=True)
    (tmp_path / "tagger/1/model.onnx").write_bytes(GRAPH)
    (tmp_path / LOCK_NAME).write_text(write_lock_text({"tagger": model}), "utf-8")
    return tmp_path


def test_it_reads_what_was_written(repository, model):
    assert read_lock(repository) == {"tagger": model}
    assert read_lock(repository)["tagger"].full_version == "brand 1.2"


def test_nothing_was_ever_exported(tmp_path):
    assert read_lock(tmp_path) == {}
    assert verify_files(tmp_path) == {}


@pytest.mark.parametrize("content", [b'{"models": "\xff"}', b"[" * 100_000], ids=["no UTF-8", "too deep"])
def test_found_by_the_fuzzer(tmp_path, content):
    (tmp_path / LOCK_NAME).write_bytes(content)
    with pytest.raises(ModelLockError, match="damaged"):
        read_lock(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"models": {"tagger": {}}}', '{"models": {"tagger": {"files": 1}}}'])
def test_a_damaged_record_is_an_error(tmp_path, text):
    (tmp_path / LOCK_NAME).write_text(text, "utf-8")
    with pytest.raises(ModelLockError, match="export the models again"):
        read_lock(tmp_path)


def test_a_field_of_a_later_version_is_an_error(repository):
    lock = repository / LOCK_NAME
    rows = json.loads(lock.read_text("utf-8"))
    rows["models"]["tagger"]["colour"] = "blue"
    lock.write_text(json.dumps(rows), "utf-8")
    with pytest.raises(ModelLockError):
        read_lock(repository)


@pytest.mark.parametrize("content", [None, b"", b"b graph", b"a graph and more"])
def test_a_file_that_is_not_the_installed_one_is_named(repository, model, content):
    path = repository / "tagger/1/model.onnx"
    path.unlink() if content is None else path.write_bytes(content)
    assert damaged_files(repository, model) == ("tagger/1/model.onnx",)
    assert verify_files(repository) == {"tagger": ("tagger/1/model.onnx",)}


def test_whole_files_are_not_named(repository):
    assert verify_files(repository) == {"tagger": ()}


def test_a_copy_has_what_is_installed_and_nothing_else(repository, tmp_path_factory):
    (repository / "tagger/config.pbtxt").write_text("a config", "utf-8")
    (repository / "tagger/1/.model.onnx.partial").write_text("of an installation that was killed", "utf-8")
    (repository / "captioner").mkdir()
    (repository / "captioner/config.pbtxt").write_text("of a model that was never exported", "utf-8")
    target = tmp_path_factory.mktemp("volume")
    copy_repository(repository, target)
    copied = {str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*") if path.is_file()}
    assert copied.keys() == {LOCK_NAME, "tagger/config.pbtxt", "tagger/1/model.onnx"}
    assert all((repository / path).read_bytes() == content for path, content in copied.items())


@pytest.mark.parametrize("why", ["no room", "damaged"])
def test_a_copy_that_fails_leaves_what_was_there(repository, tmp_path_factory, monkeypatch, why):
    target = tmp_path_factory.mktemp("volume")
    copy_repository(repository, target)
    before = {path: path.read_bytes() for path in target.rglob("*") if path.is_file()}
    (repository / "tagger/assets").mkdir()
    (repository / "tagger/assets/labels.json").write_text("new", "utf-8")
    graph = repository / "tagger/1/model.onnx"
    if why == "damaged":
        graph.write_bytes(GRAPH[::-1])

    def full(source, copy):
        Path(copy).write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError if why == "no room" else ModelLockError):
        copy_repository(repository, target)
    assert {path: path.read_bytes() for path in target.rglob("*") if path.is_file()} == before


def test_a_copy_of_what_is_damaged_is_refused(repository, tmp_path_factory):
    (repository / "tagger/1/model.onnx").write_bytes(GRAPH[::-1])
    with pytest.raises(ModelLockError, match=r"tagger/1/model\.onnx"):
        copy_repository(repository, tmp_path_factory.mktemp("volume"))


def test_a_folder_without_models_is_not_intact(tmp_path):
    with pytest.raises(ModelLockError, match="no models"):
        require_intact(tmp_path)
