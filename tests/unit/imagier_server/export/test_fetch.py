# SPDX-License-Identifier: Apache-2.0
"""Weights are those of the catalogue, byte for byte, or there are none."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from pathlib import Path

import pytest
from imagier_server.export.catalogue import CATALOGUE
from imagier_server.export.errors import ExportError
from imagier_server.export.fetch import fetch
from imagier_server.export.model_row import BundledFile, PublishedFile

REPOSITORY = Path(__file__).parents[4] / "model_repository"
SOURCE = CATALOGUE["text_line_orienter"].source


@pytest.mark.parametrize("row", CATALOGUE.values(), ids=CATALOGUE)
def test_the_weights_are_on_this_machine(row):
    assert fetch(row.source, REPOSITORY).stat().st_size == row.source.size


def test_the_package_is_not_imported():
    for module in [name for name in sys.modules if name.split(".")[0] == "rapidocr"]:
        sys.modules.pop(module)
    fetch(SOURCE, REPOSITORY)
    assert "rapidocr" not in sys.modules


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"distribution": "a-package-of-no-one"}, r"pip install 'imagier\[export\]'"),
        ({"version": "0.0.1"}, r"rapidocr==0\.0\.1 is wanted, 3\.10\.0 is installed"),
        ({"file": "rapidocr/models/none.onnx"}, "rapidocr/models/none.onnx of rapidocr==3.10.0 cannot be read"),
        ({"sha256": "0" * 64}, f"has SHA-256 {SOURCE.sha256}"),
    ],
)
def test_other_weights_are_refused(change, text):
    with pytest.raises(ExportError, match=text):
        fetch(dataclasses.replace(SOURCE, **change), REPOSITORY)


def test_a_file_that_the_repository_carries_is_taken_from_there_if_it_is_the_right_one(tmp_path):
    (tmp_path / "weights").write_bytes(b"weights")
    source = BundledFile("weights", "1", hashlib.sha256(b"weights").hexdigest(), 7)
    assert fetch(source, tmp_path).read_bytes() == b"weights"
    (tmp_path / "weights").write_bytes(b"others")
    with pytest.raises(ExportError, match="weights of the model repository has SHA-256"):
        fetch(source, tmp_path)
    (tmp_path / "weights").unlink()
    with pytest.raises(ExportError, match="weights of the model repository cannot be read: No such file"):
        fetch(source, tmp_path)


def test_a_copy_is_taken_if_it_is_the_published_file(tmp_path):
    copy = tmp_path / "copy.onnx"
    source = PublishedFile("https://example.org/rec.onnx", "1", hashlib.sha256(b"weights").hexdigest(), copy)
    copy.write_bytes(b"weights")
    assert fetch(source, tmp_path) == copy
    copy.write_bytes(b"other")
    with pytest.raises(ExportError, match="a copy of https://example"):
        fetch(source, tmp_path)
    copy.unlink()
    with pytest.raises(ExportError, match="cannot be read: No such file"):
        fetch(source, tmp_path)
