# SPDX-License-Identifier: Apache-2.0
"""Tells a caller who asks what its call took: CPU seconds of the gateway and its decoders."""

from __future__ import annotations

from imagier_server.timings import Stage, Timings

USAGE = "imagier-usage"
"""The metadata that asks, and the trailer that answers."""


def used(timings: Timings) -> str:
    """Render CPU seconds by task, as in "decode=0.0213, tags=0.0040"; decoding is shared by all tasks."""
    return ", ".join(f"{task or Stage.DECODE}={seconds:.4f}" for task, seconds in timings.cpu_seconds.items())
