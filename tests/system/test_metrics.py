# SPDX-License-Identifier: Apache-2.0
"""Prometheus' own linter reads what /metrics says."""

from __future__ import annotations

import subprocess

from imagier_server.metrics import Metrics
from prometheus_client import generate_latest


def test_promtool_has_nothing_to_say() -> None:
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=generate_latest(Metrics().registry), capture_output=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
