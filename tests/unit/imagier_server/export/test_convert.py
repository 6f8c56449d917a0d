# SPDX-License-Identifier: Apache-2.0
"""Published weights become graphs that the oldest Triton reads, the same ones each time."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from imagier_server.export.catalogue import ALTERNATIVES, CATALOGUE
from imagier_server.export.convert import MAX_IR, MAX_OPSET, Converted, convert, named
from imagier_server.export.fetch import fetch

REPOSITORY = Path(__file__).parents[4] / "model_repository"


@pytest.mark.parametrize("row", CATALOGUE.values(), ids=CATALOGUE)
def test_the_graph_is_what_the_row_says(row):
    # Converted again in tests/system/test_export.py: torch.export takes its time for a captioner.
    installed = (REPOSITORY / row.role / "1" / "model.onnx").read_bytes()
    converted = (
        Converted(installed) if row.role == "captioner" else convert(row, fetch(row.source, REPOSITORY), REPOSITORY)
    )
    model = onnx.load_from_string(converted.graph)
    assert max(entry.version for entry in model.opset_import) <= MAX_OPSET
    assert {entry.domain for entry in model.opset_import} == {""}, "no operators of a vendor's own"
    assert model.ir_version <= MAX_IR
    (source,) = model.graph.input
    assert row.inputs.startswith(f"{source.name} ")
    assert all(f"{value.name} " in row.outputs for value in model.graph.output)
    for value in (*model.graph.input, *model.graph.output):
        assert value.type.tensor_type.shape.dim[0].dim_param == "N"
    assert converted.graph == installed


def test_the_charset_has_a_line_for_every_token_but_the_blank():
    row = CATALOGUE["text_recognizer"]
    text = convert(row, fetch(row.source, REPOSITORY), REPOSITORY).assets["charset.txt"].decode()
    assert text.endswith("\n \n")
    entries = text.removesuffix("\n").split("\n")
    assert len(entries) == 18709
    assert all(len(entry) == 1 for entry in entries)


@pytest.mark.parametrize("row", [*CATALOGUE.values(), *ALTERNATIVES.values()], ids=lambda row: row.brand)
def test_every_row_names_functions_that_exist(row):
    for function in (row.convert, row.verify):
        assert callable(named(function))
