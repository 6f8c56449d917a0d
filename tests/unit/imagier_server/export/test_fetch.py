# SPDX-License-Identifier: Apache-2.0
"""Weights are those of the catalogue, byte for byte, or there are none."""

from __future__ import annotations

import dataclasses
import sys

import pytest
from imagier_server.export.catalogue import CATALOGUE
from imagier_server.export.errors import ExportError
from imagier_server.export.fetch import fetch

SOURCE = CATALOGUE["text_line_orienter"].source


@pytest.mark.parametrize("row", CATALOGUE.values(), ids=CATALOGUE)
def test_the_weights_are_in_the_installed_package(row):
    assert fetch(row.source).stat().st_size == row.source.size


def test_the_package_is_not_imported():
    for module in [name for name in sys.modules if name.split(".")[0] == "rapidocr"]:
        sys.modules.pop(module)
    fetch(SOURCE)
    assert "rapidocr" not in sys.modules


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"distribution": "a-package-of-no-one"}, r"pip install 'imagier\[export\]'"),
        ({"version": "0.0.1"}, r"rapidocr==0\.0\.1 is wanted, 3\.10\.0 is installed"),
        ({"file": "rapidocr/models/none.onnx"}, "no readable rapidocr/models/none.onnx"),
        ({"sha256": "0" * 64}, f"has SHA-256 {SOURCE.sha256}"),
    ],
)
def test_other_weights_are_refused(change, text):
    with pytest.raises(ExportError, match=text):
        fetch(dataclasses.replace(SOURCE, **change))
