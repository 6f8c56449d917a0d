# SPDX-License-Identifier: Apache-2.0
"""Every parser of ours under a coverage-guided fuzzer, for a short while: what it finds belongs into a unit test."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SUPPORT = Path(__file__).parents[1] / "support"
SECONDS = {"picture": 30, "decoder": 10, "request": 15, "answer": 15, "keywords": 10, "settings": 10, "reply": 10}


def targets() -> set[str]:
    """Those of the fuzzer, read and not imported: only what it imports itself is instrumented."""
    tree = ast.parse((SUPPORT / "fuzz_targets.py").read_text("utf-8"))
    tables = (node.value for node in tree.body if isinstance(node, ast.AnnAssign) and node.target.id == "TARGETS")
    return {key.value for table in tables for key in table.keys}


def test_no_target_is_left_out() -> None:
    assert SECONDS.keys() == targets()
    assert sum(SECONDS.values()) <= 120


@pytest.mark.parametrize("target", SECONDS)
def test_nothing_but_our_errors_comes_out(tmp_path: Path, target: str) -> None:
    command = [sys.executable, str(SUPPORT / "fuzz.py"), target, str(tmp_path), f"-max_total_time={SECONDS[target]}"]
    run = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    found = list((tmp_path / "findings").glob("*"))
    # Atheris writes the exception to its output, libFuzzer the input to its errors.
    assert (run.returncode, found) == (0, []), run.stdout[-4000:] + run.stderr[-4000:]
    assert "DONE" in run.stderr
