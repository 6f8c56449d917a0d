# SPDX-License-Identifier: Apache-2.0
"""OpenVINO in ONNX Runtime's place, for models whose config.pbtxt names it as their accelerator on CPUs.

Beside model.py. OpenVINO itself is loaded only where a model asks for it.
"""

# ruff: noqa: INP001  a folder of Triton's backend directory, no package of ours

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

# OpenVINO's converter of models, when it is imported, counts itself in ~/intel and tells Google Analytics. OpenVINO goes on without
# the package that tells, and without the converter, which nothing here needs and which takes as long to load as the rest.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
sys.modules["openvino.tools.ovc"] = None  # type: ignore[assignment]

NAME = "openvino"
"""As config.pbtxt names it, for the native backend too."""
PRECISIONS = {"FP32": "f32", "BF16": "bf16", "FP16": "f16"}
"""Values of the accelerator's parameter `precision`, by ONNX Runtime's names for its OpenVINO provider, and OpenVINO's."""
_FIRST = threading.Lock()
"""Held by the first run of a thread. OpenVINO 2026.4 fills its tables of types in the first run of a process, and two threads there
at once wait for ever, one for the other's table, the other for Python's lock."""


class OpenVinoSession:
    """A graph compiled once for the CPU, with the shapes that it leaves open; for several threads at a time."""

    def __init__(self, path: Path, threads: int = 0, precision: str = "FP32", streams: int = 1) -> None:
        """Compile the graph for so many runs at a time, `streams`, of so many threads each (0: one a core in all).

        Raises ImportError without the extra, ValueError for an unknown precision.
        """
        if precision not in PRECISIONS:
            raise ValueError(f"precision of OpenVINO: {' or '.join(PRECISIONS)}, not {precision}")
        try:
            import openvino  # noqa: PLC0415 - an extra that most installations lack
        except ImportError as error:
            raise ImportError(
                "config.pbtxt asks for OpenVINO, which is not installed here: pip install 'imagier[openvino]'"
            ) from error
        self._compiled = openvino.Core().compile_model(
            str(path),
            "CPU",
            {
                "INFERENCE_NUM_THREADS": threads * streams,
                "NUM_STREAMS": streams,
                # It would take bfloat16 by itself where the processor has it, and other results with it.
                "INFERENCE_PRECISION_HINT": PRECISIONS[precision],
                # Every instance would pin its threads to the same cores.
                "ENABLE_CPU_PINNING": False,
            },
        )
        self._own = threading.local()

    def run(self, outputs: Sequence[str], feeds: Mapping[str, npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """As `onnxruntime.InferenceSession.run`: the outputs named, as arrays of their own."""
        if hasattr(self._own, "request"):
            return self._run(outputs, feeds)
        with _FIRST:
            self._own.request = self._compiled.create_infer_request()
            return self._run(outputs, feeds)

    def _run(self, outputs: Sequence[str], feeds: Mapping[str, npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        # Inputs are read where they lie; results are copies, because the next run writes over its own.
        results = self._own.request.infer(dict(feeds), share_inputs=True)
        return [results[name] for name in outputs]

    def give_back(self, smallest: Mapping[str, npt.NDArray[Any]]) -> None:
        """Nothing: OpenVINO has no means for that."""


def accelerated(path: Path, config: Mapping[str, Any], instances: int = 1) -> OpenVinoSession | None:
    """The session that `config`, as Triton hands it on, asks for; None if it names no accelerator.

    Raises ValueError for another accelerator than OpenVINO, in the native backend's words, and as OpenVinoSession does.
    """
    named = config.get("optimization", {}).get("execution_accelerators", {}).get("cpu_execution_accelerator", [])
    for accelerator in named:
        if accelerator["name"] != NAME:
            raise ValueError(f"unknown Execution Accelerator '{accelerator['name']}' is requested")
    if not named:
        return None
    threads = config.get("parameters", {}).get("intra_op_thread_count", {"string_value": "0"})["string_value"]
    precision = named[-1].get("parameters", {}).get("precision", "FP32")
    return OpenVinoSession(path, int(threads), precision, instances)
