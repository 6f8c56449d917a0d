# SPDX-License-Identifier: Apache-2.0
"""Prometheus' own tools read what we wrote: the metrics, the rules, the tests of the alerts, and every query of the dashboards."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from imagier_server import app  # noqa: F401 - declares every error
from imagier_server.errors import causes
from imagier_server.metrics import Metrics
from imagier_server.tasks import registry
from prometheus_client import generate_latest

DEPLOY = Path(__file__).parents[2] / "deploy"
PROMETHEUS = DEPLOY / "prometheus"


def promtool(*arguments: str | Path, given: bytes = b"") -> str:
    """What it says; it must be content."""
    done = subprocess.run(["promtool", *arguments], input=given, capture_output=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    return (done.stdout + done.stderr).decode()


def test_promtool_has_nothing_to_say_about_the_metrics() -> None:
    metrics = Metrics()
    models = {model for task in registry.tasks() for model in task.models}
    metrics.zero(["tags"], models, causes())
    metrics.add_engine("triton:8001")
    assert promtool("check", "metrics", given=generate_latest(metrics.registry)) == ""


def test_the_configuration_and_its_rules() -> None:
    assert " 0 rules found" not in promtool("check", "config", PROMETHEUS / "prometheus.yml")
    assert (
        promtool("check", "rules", "--lint=all", "--lint-fatal", *PROMETHEUS.glob("rules/*.yaml")).count("SUCCESS") == 3
    )


@pytest.mark.parametrize("name", ["alerts", "energy", "objectives"])
def test_each_alert_fires_when_it_should_and_only_then(name: str) -> None:
    assert "SUCCESS" in promtool("test", "rules", PROMETHEUS / "tests" / f"{name}.yaml")


def test_every_query_of_the_dashboards_is_one(tmp_path: Path) -> None:
    """This release of promtool parses expressions in rules only."""
    queries = [
        target["expr"].replace("$__rate_interval", "5m")
        for path in sorted((DEPLOY / "grafana").glob("*.json"))
        for panel in json.loads(path.read_text("utf-8"))["panels"]
        for target in panel.get("targets", ())
    ]
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries)]
    (tmp_path / "rules.json").write_text(json.dumps({"groups": [{"name": "dashboards", "rules": rules}]}), "utf-8")
    assert f"{len(queries)} rules found" in promtool("check", "rules", tmp_path / "rules.json")
