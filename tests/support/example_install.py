# SPDX-License-Identifier: Apache-2.0
"""Installs the example task (the distribution in `example_task/`) into a folder, as an operator would, and serves its model."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import grpc
import numpy as np
from tritonclient.grpc import service_pb2

from support.fake_triton import response

EXAMPLE = Path(__file__).with_name("example_task")
MODEL = "photometer"


def install(folder: Path) -> Path:
    """Where it lies, with its entry points; its stubs are built from its proto. Nothing is fetched."""
    # From a copy: the build writes beside the sources.
    source = shutil.copytree(EXAMPLE, folder / "source", ignore=shutil.ignore_patterns("__pycache__", "*_pb2.py"))
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet"]
    target = folder / "installed"
    subprocess.run([sys.executable, "-m", "pip", "install", *offline, "--target", target, source], check=True)
    return target


def messages(installed: Path) -> ModuleType:
    """Its protobuf messages, for this process, which finds none of its entry points."""
    name = "imagier_brightness.brightness_pb2"
    spec = spec_from_file_location(name, installed / "imagier_brightness" / "brightness_pb2.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def environment(installed: Path) -> dict[str, str]:
    """For a process that is to find it."""
    return os.environ | {"PYTHONPATH": str(installed)}


async def photometer(
    request: service_pb2.ModelInferRequest, context: grpc.aio.ServicerContext
) -> service_pb2.ModelInferResponse:
    """A model that measures what it is sent: `pixels` UINT8 [1, H, W, 3] → `mean` FP32 [1, 1]."""
    pixels = np.frombuffer(request.raw_input_contents[0], np.uint8).reshape(request.inputs[0].shape)
    return response(mean=pixels.mean(axis=(1, 2, 3), dtype=np.float32)[:, np.newaxis])
