# SPDX-License-Identifier: Apache-2.0
"""What of an overlay is laid over our own models' configs, and what is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf import text_format
from imagier_server import overlay
from imagier_server.overlay import Way, beside, read_way, tuned, with_way
from tritonclient.grpc import model_config_pb2

REPOSITORY = Path(__file__).parents[3] / "model_repository"
CONFIGS = sorted(REPOSITORY.glob("*/config.pbtxt"))
WAYS = [
    Way(overlay.ONNX_RUNTIME, overlay.FP32, 4, 2),
    Way(overlay.OPENVINO, overlay.FP32, 2, 8),
    Way(overlay.OPENVINO, "BF16", 2, 1),
]


def parsed(text: str) -> model_config_pb2.ModelConfig:
    return text_format.Parse(text, model_config_pb2.ModelConfig())


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("config", CONFIGS, ids=[path.parent.name for path in CONFIGS])
def test_a_config_runs_another_way_and_is_otherwise_unchanged(config: Path, way: Way) -> None:
    own = config.read_text("utf-8")
    other = with_way(own, way)
    assert read_way(other) == way
    back = with_way(other, read_way(own))
    assert read_way(back) == read_way(own)
    before, after = parsed(own), parsed(back)
    after.ClearField("optimization")  # an empty one
    assert after == before


def test_our_models_are_installed_to_run_on_onnx_runtime() -> None:
    assert {read_way(config.read_text("utf-8")).accelerator for config in CONFIGS} == {overlay.ONNX_RUNTIME}


def write(folder: Path, model: str, text: str) -> None:
    (folder / model).mkdir(parents=True)
    (folder / model / "config.pbtxt").write_text(text, "utf-8")


def a_config(*, batch: int = 8, digest: str = "a", way: Way = WAYS[0]) -> str:
    text = f'max_batch_size: {batch} parameters {{ key: "model_digest" value {{ string_value: "{digest}" }} }}'
    return with_way(text, way)


def test_the_overlay_beside_the_repository_is_used_if_it_is_there(tmp_path: Path) -> None:
    repository = tmp_path / "models"
    for model in ("one", "two"):
        write(repository, model, a_config())
    assert tuned(repository, None, ["one", "two"]) == {}
    write(tmp_path / "models.overlay", "one", a_config(way=WAYS[1]))
    assert beside(repository) == tmp_path / "models.overlay"
    found = tuned(repository, None, ["one", "two"])
    assert found.keys() == {"one"}
    assert read_way(found["one"]) == WAYS[1]


def test_what_is_not_of_the_way_stays_the_repositorys(tmp_path: Path) -> None:
    write(tmp_path / "models", "one", a_config(batch=16))
    write(tmp_path / "other", "one", a_config(batch=8, way=WAYS[1]))
    found = parsed(tuned(tmp_path / "models", tmp_path / "other", ["one"])["one"])
    assert found.max_batch_size == 16
    assert found.optimization.execution_accelerators.cpu_execution_accelerator[0].name == "openvino"


def test_an_overlay_of_another_version_of_the_model_is_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "models", "one", a_config(digest="new"))
    write(tmp_path / "other", "one", a_config(digest="old", way=WAYS[1]))
    assert tuned(tmp_path / "models", tmp_path / "other", ["one"]) == {}
    assert "run `imagier tune` again" in caplog.text


def test_an_overlay_that_is_named_must_be_there_and_be_readable(tmp_path: Path) -> None:
    write(tmp_path / "models", "one", a_config())
    with pytest.raises(FileNotFoundError, match="`imagier tune` makes one"):
        tuned(tmp_path / "models", tmp_path / "nowhere", ["one"])
    write(tmp_path / "other", "one", "nonsense: 1")
    with pytest.raises(ValueError, match="no model configuration: line 1"):
        tuned(tmp_path / "models", tmp_path / "other", ["one"])
