# SPDX-License-Identifier: Apache-2.0
"""Opens a graph in ONNX Runtime, or in OpenVINO where config.pbtxt names it, with memory that is given back when it is idle."""

# ruff: noqa: INP001  a folder of Triton's backend directory, no package of ours

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime_session
import openvino_session
from idle_memory import IdleMemory
from onnxruntime_session import OnnxRuntimeSession
from openvino_session import OpenVinoSession

KINDS = {"TYPE_UINT8": np.uint8, "TYPE_INT32": np.int32, "TYPE_INT64": np.int64, "TYPE_FP32": np.float32}
Feeds = Mapping[str, npt.NDArray[Any]]


def opened(path: Path, config: dict[str, Any], args: dict[str, str]) -> Session:
    """Open the graph at `path` for the instances of the kind that Triton describes in `args`."""
    chosen = onnxruntime_session.providers(args)
    count = instances(config)
    accelerated = openvino_session.accelerated(path, config, count) if chosen == [onnxruntime_session.CPU] else None
    return Session(accelerated or OnnxRuntimeSession(path, config, chosen, count), smallest_warm_up(config))


def instances(config: dict[str, Any]) -> int:
    """How many instances of the model share the session."""
    return sum(group.get("count", 1) for group in config.get("instance_group", [])) or 1


class Session:
    """A session for several threads at a time. `smallest`: inputs of the smallest run, or none."""

    def __init__(self, session: OnnxRuntimeSession | OpenVinoSession, smallest: Feeds) -> None:
        self._session = session
        self._little = size(smallest)
        self._memory = IdleMemory(lambda: session.give_back(smallest))
        self._memory.used()  # it was loaded

    def run(self, outputs: Sequence[str], feeds: Feeds) -> list[npt.NDArray[Any]]:
        """The outputs named. Raises what the engine raises."""
        try:
            return self._session.run(outputs, feeds)
        finally:
            # A probe takes no more than is kept in any case.
            if size(feeds) > self._little:
                self._memory.used()


def size(feeds: Feeds) -> int:
    """Bytes of all inputs."""
    return sum(values.nbytes for values in feeds.values())


def smallest_warm_up(config: dict[str, Any]) -> Feeds:
    """The smallest of the requests in `model_warmup`, as one row of zeros; none if there is none of these kinds."""
    rows = [1] if config["max_batch_size"] > 0 else []
    requests = [
        {
            name: np.zeros(rows + [int(side) for side in tensor["dims"]], KINDS[tensor["data_type"]])
            for name, tensor in request["inputs"].items()
        }
        for request in config.get("model_warmup", [])
        if all(tensor["data_type"] in KINDS for tensor in request["inputs"].values())
    ]
    return min(requests, key=size, default={})
