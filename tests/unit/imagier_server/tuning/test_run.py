# SPDX-License-Identifier: Apache-2.0
"""What `imagier tune` writes and prints, for figures as they may be measured."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from imagier_server.golden import Asked
from imagier_server.overlay import FP32, ONNX_RUNTIME, OPENVINO, Way, golden, read_way, tuned, with_way
from imagier_server.tuning.choice import Figures
from imagier_server.tuning.run import EVERY, REPORT, Result, TuneError, report, run, write

OWN = Way(ONNX_RUNTIME, FP32, 2, 1)
VINO = Way(OPENVINO, FP32, 4, 2)
FIGURES = [Figures(OWN, 10.04, 100), Figures(VINO, 5.5, 210.25)]
BETTER = Result(OWN, FIGURES[1], FIGURES)
AS_IT_IS = Result(OWN, FIGURES[0], FIGURES)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for model in ("one", "two"):
        (tmp_path / "models" / model).mkdir(parents=True)
        (tmp_path / "models" / model / "config.pbtxt").write_text(with_way("max_batch_size: 8", OWN), "utf-8")
    return tmp_path / "models"


def test_only_models_that_run_otherwise_are_written(repository: Path, tmp_path: Path) -> None:
    folder = tmp_path / "over"
    write(folder, repository, {"one": BETTER, "two": AS_IT_IS}, 3.0)
    assert {path.name for path in folder.iterdir()} == {"one", REPORT}
    assert read_way(tuned(repository, folder, ["one", "two"])["one"]) == VINO
    found = json.loads((folder / REPORT).read_text("utf-8"))["models"]
    assert found["one"]["chosen"]["per_second"] == 210.25
    assert found["two"]["machine"]["cores"] >= 1
    assert {path.name for path in tmp_path.iterdir()} == {"models", "over"}


def test_what_a_model_answers_as_installed_lies_beside_another_engine(repository: Path, tmp_path: Path) -> None:
    folder = tmp_path / "over"
    asked = [Asked({"x": np.full((1, 1), number)}, {"y": np.full((1, 1), number)}) for number in range(EVERY + 2)]
    more = Result(OWN, replace(FIGURES[0], way=replace(OWN, instances=4)), FIGURES, asked)
    write(folder, repository, {"one": replace(BETTER, asked=asked), "two": more}, 3.0)
    assert {path.name for path in (folder / "two").iterdir()} == {"config.pbtxt"}
    found = golden(repository, folder, ["one", "two"])
    assert {model: [int(each.inputs["x"][0, 0]) for each in some] for model, some in found.items()} == {
        "one": [0, EVERY]
    }
    assert "asked" not in json.loads((folder / REPORT).read_text("utf-8"))["models"]["one"]


def test_what_was_written_of_other_models_stays(repository: Path, tmp_path: Path) -> None:
    folder = tmp_path / "over"
    write(folder, repository, {"one": BETTER, "two": BETTER}, 3.0)
    write(folder, repository, {"two": AS_IT_IS}, 1.0)
    assert {path.name for path in folder.iterdir()} == {"one", REPORT}
    found = json.loads((folder / REPORT).read_text("utf-8"))["models"]
    assert (found["one"]["seconds"], found["two"]["seconds"]) == (3.0, 1.0)


def test_the_table_says_what_is_gained() -> None:
    head, one, two = report({"one": BETTER, "number_two": replace(AS_IT_IS)}).splitlines()
    assert head.split() == ["model", "runs", "best", "with", "requests/s", "installed", "alone", "ms", "installed"]
    assert one.split() == ["one", "openvino", "FP32,", "4", "x", "2", "threads", "210.2", "100.0", "5.5", "10.0"]
    assert "onnxruntime FP32, 2 x 1 threads, as installed" in two


async def test_only_installed_models_can_be_tuned(repository: Path) -> None:
    with pytest.raises(TuneError, match="no model nowhere is installed"):
        await run(repository, ["nowhere"], 1.0, print)
    with pytest.raises(TuneError, match="run `imagier models install` first"):
        await run(repository, [], 1.0, print)
