# SPDX-License-Identifier: Apache-2.0
"""Imports ONNX Runtime, only here: by now its telemetry is disabled, which it checks at import."""

import onnxruntime as onnxruntime  # noqa: PLC0414, TID251 - handed on
