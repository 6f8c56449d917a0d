# SPDX-License-Identifier: Apache-2.0
"""A minute or two of benchmarks/chaos.py: whatever is killed, every picture is answered, and nothing with an internal error."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.whole_machine

CHAOS = Path(__file__).parents[2] / "benchmarks" / "chaos.py"
VICTIMS = (
    "text_recognizer:SIGKILL",
    "decoder:SIGKILL",
    "tritonserver:SIGKILL",
    "captioner:SIGSTOP",
    "tagger:SIGKILL",
    "tritonserver:SIGSTOP",
)


def test_whatever_is_killed_every_picture_is_answered(tmp_path: Path) -> None:
    arguments = [
        "--cold",
        "--minutes",
        "10",
        "--every",
        "5",
        "--out",
        str(tmp_path / "chaos.json"),
        "--victims",
        *VICTIMS,
    ]
    subprocess.run([sys.executable, str(CHAOS), *arguments], check=True)
    record = json.loads((tmp_path / "chaos.json").read_text("utf-8"))
    assert [f"{fault['victim']}:{fault['signal']}" for fault in record["each_fault"]] == list(VICTIMS)
    assert (record["internal"], record["late"], record["unavailable_without_retry_info"]) == (0, 0, 0), record
    assert {"call OK", "stream OK"} <= record["answers"].keys()
    assert record["restarts"] >= len(VICTIMS) - 1
    assert record["tracebacks"] == 0
