# SPDX-License-Identifier: Apache-2.0
"""What is read from a config.pbtxt about its warm-up: our own models' configs, and odd ones."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format
from imagier_server.warm_up import read_warm_up
from tritonclient.grpc import model_config_pb2

REPOSITORY = Path(__file__).parents[3] / "model_repository"
DTYPES = {model_config_pb2.TYPE_UINT8: np.dtype("uint8"), model_config_pb2.TYPE_INT64: np.dtype("int64")}
CONFIGS = sorted(REPOSITORY.glob("*/config.pbtxt"))


def parsed(text: str) -> model_config_pb2.ModelConfig:
    return text_format.Parse(text, model_config_pb2.ModelConfig())


@pytest.mark.parametrize("config", CONFIGS, ids=[path.parent.name for path in CONFIGS])
def test_our_own_models_have_a_sample_of_one_row_and_are_otherwise_unchanged(config: Path) -> None:
    found, whole = read_warm_up(config), parsed(config.read_text("utf-8"))
    ((name, tensor),) = found.sample.items()
    (declared,) = whole.input
    assert (name, tensor.dtype, len(tensor)) == (declared.name, DTYPES[declared.data_type], 1)
    assert all(wanted in (-1, have) for wanted, have in zip(declared.dims, tensor.shape[1:], strict=True))
    smallest = min(parsed_size(each) for each in whole.model_warmup)
    quick = parsed(found.quick_config)
    assert [parsed_size(each) for each in quick.model_warmup] == [smallest]
    assert tensor.nbytes == smallest
    for each in (quick, whole):
        del each.model_warmup[:]
    assert quick == whole
    assert found.instances == 2


def parsed_size(request: model_config_pb2.ModelWarmup) -> int:
    """Bytes of a row."""
    (tensor,) = request.inputs.values()
    return math.prod(tensor.dims) * DTYPES[tensor.data_type].itemsize


def written(folder: Path, text: str) -> Path:
    (folder / "config.pbtxt").write_text(text, "utf-8")
    return folder / "config.pbtxt"


def test_a_model_that_warms_nothing_up_is_left_as_it_is(tmp_path: Path) -> None:
    found = read_warm_up(written(tmp_path, 'name: "one" max_batch_size: 4'))
    assert not found.sample
    assert parsed(found.quick_config) == parsed('name: "one" max_batch_size: 4')
    assert found.instances == 1


def test_a_type_that_the_gateway_does_not_send_is_not_proved(tmp_path: Path) -> None:
    warm_up = (
        'model_warmup { batch_size: 1 inputs { key: "x" value { data_type: TYPE_STRING dims: 1 zero_data: true } } }'
    )
    found = read_warm_up(written(tmp_path, warm_up))
    assert not found.sample
    assert len(parsed(found.quick_config).model_warmup) == 1


def test_a_model_without_batches_has_a_sample_without_rows(tmp_path: Path) -> None:
    warm_up = 'model_warmup { inputs { key: "x" value { data_type: TYPE_FP32 dims: 5 dims: 7 zero_data: true } } }'
    assert read_warm_up(written(tmp_path, warm_up)).sample["x"].shape == (5, 7)


def test_what_is_no_config_is_said_by_its_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"config\.pbtxt is no model configuration: line 2"):
        read_warm_up(written(tmp_path, 'name: "one"\nnonsense: 1'))
