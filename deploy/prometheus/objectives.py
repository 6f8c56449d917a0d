# SPDX-License-Identifier: Apache-2.0
"""`make manifests`: writes rules/objectives.yaml from the tasks installed here and the latency objective that each declares."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from imagier_server.tasks.registry import tasks
from imagier_server.tasks.task import TaskClass
from prometheus_client.utils import floatToGoString

TARGET = Path(__file__).parent / "rules" / "objectives.yaml"
WINDOWS = ("5m", "30m", "1h", "6h", "3d")
COUNT = "imagier_task_duration_seconds_count"
HEAD = """\
# SPDX-License-Identifier: Apache-2.0
# Written by `make manifests` from the tasks' objectives; change `objective_seconds` of a task.
groups:
  - name: imagier-objectives
    rules:
      # Tasks that ended: a ratio over few of them means little.
      - record: task:imagier_tasks:increase1h
        expr: sum by (namespace, task) (increase(imagier_task_duration_seconds_count[1h]))
      - record: task:imagier_tasks:increase6h
        expr: sum by (namespace, task) (increase(imagier_task_duration_seconds_count[6h]))
"""
ERRORS = """
      # Availability: what failed through no fault of the caller.
"""
SLOW = """
      # Latency: what was answered, but later than the task's objective.
"""


def rules(known: Iterable[TaskClass]) -> str:
    """The file's content."""
    known = tuple(known)
    errors = "".join(_errors(window) for window in WINDOWS)
    slow = "".join(_slow(window, known) for window in WINDOWS)
    return HEAD + ERRORS + errors + SLOW + slow


def _errors(window: str) -> str:
    return f"""\
      - record: task:imagier_errors:ratio_rate{window}
        expr: >-
          sum by (namespace, task) (rate({COUNT}{{outcome=~"server_error|rejected"}}[{window}]))
          / sum by (namespace, task) (rate({COUNT}[{window}]))
"""


def _slow(window: str, known: tuple[TaskClass, ...]) -> str:
    in_time = "\n            or ".join(_in_time(window, known))
    return f"""\
      - record: task:imagier_slow:ratio_rate{window}
        expr: >-
          1 - sum by (namespace, task) (
            {in_time}
          ) / sum by (namespace, task) (rate({COUNT}{{outcome="ok"}}[{window}]))
"""


def _in_time(window: str, known: Iterable[TaskClass]) -> Iterator[str]:
    """One selector a task: the histogram's bucket up to its objective."""
    for task in known:
        labels = f'outcome="ok",task="{task.name}",le="{floatToGoString(task.objective_seconds)}"'
        yield f"rate(imagier_task_duration_seconds_bucket{{{labels}}}[{window}])"


if __name__ == "__main__":
    (Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET).write_text(rules(tasks()), encoding="utf-8")
