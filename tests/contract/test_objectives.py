# SPDX-License-Identifier: Apache-2.0
"""The objective that each task declares is what the rules record and the page says."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import yaml
from imagier_server.metrics import SECONDS
from imagier_server.tasks import registry

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"


def test_each_tasks_objective_is_one_of_the_buckets() -> None:
    assert {task.objective_seconds for task in registry.tasks()} <= set(SECONDS)


def objectives_table() -> str:
    rows = (f"| `{task.name}` | {task.objective_seconds:g} s |" for task in registry.tasks())
    return "\n".join(["| task | 95 % of the answers within |", "|---|---|", *rows])


def test_the_page_says_each_tasks_objective() -> None:
    assert objectives_table() in (ROOT / "docs" / "metrics.md").read_text("utf-8")


def test_the_rules_of_the_objectives_are_those_that_the_registry_makes(tmp_path: Path) -> None:
    written = PROMETHEUS / "rules" / "objectives.yaml"
    subprocess.run([sys.executable, str(PROMETHEUS / "objectives.py"), str(tmp_path / written.name)], check=True)
    assert written.read_text("utf-8") == (tmp_path / written.name).read_text("utf-8"), "run `make manifests`"


def test_a_new_task_has_its_objective_in_every_window_by_itself() -> None:
    made = runpy.run_path(str(PROMETHEUS / "objectives.py"))
    further = SimpleNamespace(name="bars", objective_seconds=2.5)
    groups = yaml.safe_load(made["rules"]([*registry.tasks(), further]))["groups"]
    slow = [rule["expr"] for group in groups for rule in group["rules"] if "slow" in rule["record"]]
    assert len(slow) == len(made["WINDOWS"])
    for expression in slow:
        thresholds = dict(re.findall(r'task="(\w+)",le="([\d.]+)"', expression))
        assert thresholds == {task.name: str(task.objective_seconds) for task in (*registry.tasks(), further)}
