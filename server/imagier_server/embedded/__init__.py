# SPDX-License-Identifier: Apache-2.0
"""The engine without a container: NVIDIA's own `tritonserver`, out of the nvidia-pytriton wheel, as a child process."""

from imagier_server.embedded.process import EmbeddedTriton, start
from imagier_server.embedded.wheel import EmbeddedError

__all__ = ["EmbeddedError", "EmbeddedTriton", "start"]
