# SPDX-License-Identifier: Apache-2.0
"""Disables the telemetry of dependencies; docs/privacy.md lists what each would send.

Importing `imagier_server` applies it, before any of them is loaded; processes that we start inherit it.
"""

from __future__ import annotations

import os
import sys

VARIABLES = {
    # From 1.29 on ONNX Runtime for Linux stores a device id and events under ~/.cache/Microsoft, and sends them.
    "ORT_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    # transformers asks a service of the hub to convert a checkpoint that is a pickle.
    "DISABLE_SAFETENSORS_CONVERSION": "1",
}

PACKAGES = ("openvino_telemetry",)
"""Packages that do nothing else. OpenVINO has no switch in the environment; it goes on without its package."""


def switch_off() -> None:
    """Disable telemetry in this process, whatever its environment says, and, by the environment, in its children."""
    os.environ.update(VARIABLES)
    for package in PACKAGES:
        sys.modules[package] = None  # type: ignore[assignment]  # an import of it fails
