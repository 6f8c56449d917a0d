# SPDX-License-Identifier: Apache-2.0
"""How models run on this machine, by `imagier tune`: a folder with a config.pbtxt of each model that runs otherwise than installed.

Only instances, threads and accelerator are taken from there: all else of a model is the repository's, whatever its version. A model
that runs on another engine, or in another precision, has golden answers beside its config.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from imagier_server.golden import Asked, unpacked
from imagier_server.logs import log

ONNX_RUNTIME: Final = "onnxruntime"
OPENVINO: Final = "openvino"
FP32: Final = "FP32"
GOLDEN: Final = "golden.npz"
_THREADS: Final = "intra_op_thread_count"
_IDENTITY: Final = ("model_digest", "export_recipe")


@dataclass(frozen=True, slots=True)
class Way:
    """How a model runs: `accelerator` ONNX_RUNTIME or OPENVINO, `precision` FP32 or BF16; each instance has so many threads."""

    accelerator: str
    precision: str
    instances: int
    threads: int

    def __str__(self) -> str:
        """Such as "openvino BF16, 2 x 4 threads"."""
        return f"{self.accelerator} {self.precision}, {self.instances} x {self.threads} threads"


def beside(repository: Path) -> Path:
    """Where the overlay of a repository lies by default: not in it, where Triton would take it for a model."""
    return repository.with_name(f"{repository.resolve().name}.overlay")


def read_way(config: str) -> Way:
    """The way of a config.pbtxt. Raises `ValueError`."""
    parsed = _parsed(config)
    accelerator, precision = ONNX_RUNTIME, FP32
    for each in parsed.optimization.execution_accelerators.cpu_execution_accelerator:
        accelerator, precision = each.name, each.parameters.get("precision", FP32)
    instances = sum(max(1, group.count) for group in parsed.instance_group) or 1
    threads = parsed.parameters[_THREADS].string_value if _THREADS in parsed.parameters else "0"
    return Way(accelerator, precision, instances, int(threads))


def with_way(config: str, way: Way) -> str:
    """The config.pbtxt, without its comments, run in that way. Raises `ValueError`."""
    parsed = _parsed(config)
    del parsed.instance_group[1:]
    group = parsed.instance_group[0] if parsed.instance_group else parsed.instance_group.add()
    group.count = way.instances
    parsed.parameters[_THREADS].string_value = str(way.threads)
    accelerators = parsed.optimization.execution_accelerators
    del accelerators.cpu_execution_accelerator[:]
    if way.accelerator != ONNX_RUNTIME:
        accelerators.cpu_execution_accelerator.add(name=way.accelerator, parameters={"precision": way.precision})
    return text_format.MessageToString(parsed)


def tuned(repository: Path, overlay: Path | None, models: Iterable[str]) -> dict[str, str]:
    """The configs of the models that the overlay (None: that beside the repository, if there is one) runs otherwise.

    A model that was installed anew since is left as it is, and the log says so. Raises `OSError` if the overlay named is missing,
    `ValueError` for a damaged file.
    """
    folder = overlay or beside(repository)
    if overlay and not overlay.is_dir():
        raise FileNotFoundError(f"{overlay}: there is no overlay; `imagier tune` makes one")
    found = {}
    for model in models:
        other = folder / model / "config.pbtxt"
        if not other.is_file():
            continue
        own, theirs = (path.read_text("utf-8") for path in (repository / model / "config.pbtxt", other))
        if _identity(own) == _identity(theirs):
            found[model] = with_way(own, read_way(theirs))
        else:
            log(
                logging.WARNING, "the overlay is of another version of the model: run `imagier tune` again", model=model
            )
    if found:
        log(logging.INFO, "models run as tuned", overlay=str(folder), models=sorted(found))
    return found


def golden(repository: Path, overlay: Path | None, models: Iterable[str]) -> dict[str, tuple[Asked, ...]]:
    """What the models that `tuned` returned answered as installed, if they run on another engine or in another precision.

    Raises `ValueError` for a damaged file.
    """
    files = {model: (overlay or beside(repository)) / model / GOLDEN for model in models}
    return {model: unpacked(file) for model, file in files.items() if file.is_file()}


def _identity(config: str) -> list[str]:
    parameters = _parsed(config).parameters
    return [parameters[name].string_value for name in _IDENTITY]


def _parsed(config: str) -> model_config_pb2.ModelConfig:
    try:
        return text_format.Parse(config, model_config_pb2.ModelConfig())
    except text_format.ParseError as error:
        raise ValueError(f"no model configuration: line {error.GetLine()}") from error
