# SPDX-License-Identifier: Apache-2.0
"""Reads the warm-up in a model's config.pbtxt: its smallest sample serves for probes and for restarts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from imagier_server.messages import Tensors

_DATATYPES = {
    model_config_pb2.TYPE_UINT8: np.uint8,
    model_config_pb2.TYPE_INT32: np.int32,
    model_config_pb2.TYPE_INT64: np.int64,
    model_config_pb2.TYPE_FP32: np.float32,
}


@dataclass(frozen=True, slots=True)
class WarmUp:
    """`sample`: the inputs of one row of the smallest warm-up request, all zeros; empty if the config warms nothing up.

    `quick_config`: the config with that request as its only one. `instances` of the model on one device.
    """

    sample: Tensors
    quick_config: str
    instances: int


def read_warm_up(config: Path, text: str | None = None) -> WarmUp:
    """Read a config.pbtxt, or `text` in its place. Raises `OSError`, or `ValueError` for an invalid one."""
    try:
        parsed = text_format.Parse(text or config.read_text("utf-8"), model_config_pb2.ModelConfig())
    except text_format.ParseError as error:
        raise ValueError(f"{config} is no model configuration: line {error.GetLine()}") from error
    samples = [_sample(request, batched=parsed.max_batch_size > 0) for request in parsed.model_warmup]
    usable = [
        (sum(tensor.nbytes for tensor in sample.values()), request.batch_size, place)
        for place, (request, sample) in enumerate(zip(parsed.model_warmup, samples, strict=True))
        if sample
    ]
    sample: Tensors = {}
    if usable:
        _, _, place = min(usable)
        smallest = parsed.model_warmup[place]
        sample = samples[place]
        del parsed.model_warmup[:]
        parsed.model_warmup.add().CopyFrom(smallest)
    instances = sum(max(1, group.count) for group in parsed.instance_group) or 1
    return WarmUp(sample, text_format.MessageToString(parsed), instances)


def _sample(request: model_config_pb2.ModelWarmup, *, batched: bool) -> Tensors:
    """One row of a warm-up request; empty if it has a type that the gateway sends to no model."""
    if any(each.data_type not in _DATATYPES for each in request.inputs.values()):
        return {}
    return {
        name: np.zeros(([1] if batched else []) + list(each.dims), _DATATYPES[each.data_type])
        for name, each in request.inputs.items()
    }
