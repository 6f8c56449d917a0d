# SPDX-License-Identifier: Apache-2.0
"""The embedded engine: NVIDIA's `tritonserver` from the nvidia-pytriton wheel, as a child process."""

from imagier_server.embedded.process import EmbeddedTriton, start
from imagier_server.embedded.triton_log import reason
from imagier_server.embedded.wheel import EmbeddedError

__all__ = ["EmbeddedError", "EmbeddedTriton", "reason", "start"]
