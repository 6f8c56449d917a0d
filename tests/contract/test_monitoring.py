# SPDX-License-Identifier: Apache-2.0
"""Metrics, rules, alerts, runbooks and dashboards agree: every name that one of them uses is one that another declares."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from imagier_server.metrics import Metrics
from imagier_server.settings import Settings
from imagier_server.tasks import registry

ROOT = Path(__file__).parents[2]
PROMETHEUS, GRAFANA = ROOT / "deploy" / "prometheus", ROOT / "deploy" / "grafana"
RUNBOOKS = "docs/runbooks.md"
WATCHDOG = "ImagierWatchdog"
# Triton 2.51's on a machine without a GPU were read from the embedded one (tests/system/test_prometheus.py looks again); those of
# GPUs stand in NVIDIA's documentation, and have not changed since.
TRITON = {
    "nv_inference_request_success",
    "nv_inference_request_failure",
    "nv_inference_count",
    "nv_inference_exec_count",
    "nv_inference_request_duration_us",
    "nv_inference_queue_duration_us",
    "nv_inference_compute_input_duration_us",
    "nv_inference_compute_infer_duration_us",
    "nv_inference_compute_output_duration_us",
    "nv_inference_pending_request_count",
    "nv_cpu_utilization",
    "nv_gpu_utilization",
    "nv_gpu_memory_total_bytes",
    "nv_gpu_memory_used_bytes",
    "nv_gpu_power_usage",
    "nv_energy_consumption",
}
# kube-state-metrics' stable ones.
KUBERNETES = {
    "kube_deployment_status_replicas_unavailable",
    "kube_pod_container_status_last_terminated_reason",
    "kube_pod_container_status_restarts_total",
    "kube_horizontalpodautoscaler_status_current_replicas",
    "kube_horizontalpodautoscaler_spec_max_replicas",
}
OF_PROMETHEUS = {"up", "ALERTS"}
WORDS = {
    "sum",
    "count",
    "min",
    "max",
    "rate",
    "increase",
    "changes",
    "absent",
    "vector",
    "histogram_quantile",
    "and",
    "or",
}
WORDS |= {"max_over_time", "time", "unless", "bool", "on", "by", "without", "group_left", "Inf", "e6"}
SUFFIXES = {
    "counter": ("_total",),
    "histogram": ("_bucket", "_sum", "_count"),
    "info": ("_info",),
    "gauge": ("",),
}


def rules(name: str) -> list[dict[str, Any]]:
    return [
        rule
        for group in yaml.safe_load((PROMETHEUS / "rules" / name).read_text("utf-8"))["groups"]
        for rule in group["rules"]
    ]


RECORDED = {rule["record"]: rule["expr"] for name in ("objectives.yaml", "recording.yaml") for rule in rules(name)}
ALERTS = {rule["alert"]: rule for rule in rules("alerts.yaml")}


def panels(dashboard: str) -> Iterator[dict[str, Any]]:
    return (panel for panel in json.loads((GRAFANA / dashboard).read_text("utf-8"))["panels"] if panel["type"] != "row")


DASHBOARDS = {
    f"{path.name}: {panel['title']}: {target['refId']}": target["expr"]
    for path in GRAFANA.glob("*.json")
    for panel in panels(path.name)
    for target in panel["targets"]
}


def names(expression: str) -> set[str]:
    """The metrics of an expression: what is left of it without strings, selectors, ranges, lists of labels, PromQL's words."""
    bare = re.sub(r'"[^"]*"', "", expression)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\b(by|on|without|group_left)\s*\([^)]*\)", " ", bare)
    return set(re.findall(r"[a-zA-Z_:][\w:]*", bare)) - WORDS


def raw(expression: str) -> set[str]:
    """The same, down to what is scraped."""
    return {leaf for name in names(expression) for leaf in (raw(RECORDED[name]) if name in RECORDED else {name})}


@cache
def declared() -> frozenset[str]:
    families = Metrics().registry.collect()
    return frozenset(family.name + suffix for family in families for suffix in SUFFIXES[family.type])


def metrics_table() -> str:
    rows = ["| series | type | labels | what |", "|---|---|---|---|"]
    for metric in Metrics().registry._collector_to_names:
        if hasattr(metric, "_labelnames"):
            name = metric._name + SUFFIXES[metric._type][0].replace("_bucket", "")
            labels = ", ".join(f"`{label}`" for label in metric._labelnames)
            rows.append(f"| `{name}` | {metric._type} | {labels} | {metric._documentation} |")
    return "\n".join(rows)


def test_the_page_names_every_series() -> None:
    assert metrics_table() in (ROOT / "docs" / "metrics.md").read_text("utf-8")


@pytest.mark.parametrize("name", [*RECORDED, *ALERTS, *DASHBOARDS])
def test_every_metric_that_is_asked_for_is_one(name: str) -> None:
    expression = RECORDED.get(name) or DASHBOARDS.get(name) or ALERTS[name]["expr"]
    used = names(expression)
    assert used or name == WATCHDOG
    assert used <= declared() | TRITON | KUBERNETES | OF_PROMETHEUS | RECORDED.keys()


def test_every_series_is_on_a_dashboard_or_in_an_alert() -> None:
    asked = [*DASHBOARDS.values(), *(alert["expr"] for alert in ALERTS.values())]
    used = set[str]().union(*map(raw, asked))
    ours = [family for family in Metrics().registry.collect() if family.name.startswith("imagier_")]
    unused = {family.name for family in ours if not used & {family.name + suffix for suffix in SUFFIXES[family.type]}}
    assert unused == {"imagier_event_loop_tasks"}, "for whoever looks at one gateway"


def test_every_series_is_counted_in_a_test() -> None:
    """Named there, at least: a new one wants an event in one of these that moves it."""
    files = (
        "support/series.py",
        "integration/metrics/test_requests.py",
        "integration/metrics/test_what_runs.py",
        "integration/test_keys.py",
        "integration/http/test_piwigo_callbacks.py",
        "e2e/test_metrics.py",
        "e2e/test_liveness.py",
        "unit/imagier_server/test_metrics.py",
        "unit/imagier_server/admission/test_quotas.py",
    )
    text = "".join((ROOT / "tests" / file).read_text("utf-8") for file in files)
    ours = [family for family in Metrics().registry.collect() if family.name.startswith("imagier_")]
    for family in ours:
        assert re.search(rf"\b{family.name}({'|'.join(SUFFIXES[family.type])})\b", text), family.name


def test_every_rule_is_of_use() -> None:
    used = [names(expression) for expression in (*DASHBOARDS.values(), *RECORDED.values())]
    used += [names(alert["expr"]) for alert in ALERTS.values()]
    assert RECORDED.keys() - set().union(*used) == set()


def test_the_same_rates_over_every_window() -> None:
    for kind in ("errors", "slow"):
        expressions = {
            name.rpartition("rate")[2]: text
            for name, text in RECORDED.items()
            if name.startswith(f"task:imagier_{kind}:")
        }
        assert expressions.keys() == {"5m", "30m", "1h", "6h", "3d"}
        assert len({text.replace(f"[{window}]", "[]") for window, text in expressions.items()}) == 1


@pytest.mark.parametrize("name", ALERTS)
def test_each_alert_says_what_to_do(name: str) -> None:
    alert = ALERTS[name]
    assert alert["labels"]["severity"] in {"page", "ticket", "none"}
    assert alert["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert alert["annotations"]["runbook_url"].endswith(f"{RUNBOOKS}#{name.lower()}")
    runbooks = (ROOT / RUNBOOKS).read_text("utf-8")
    (section,) = re.findall(rf"^## {name}\n(.*?)(?=^## |\Z)", runbooks, re.MULTILINE | re.DOTALL)
    assert re.findall(r"^\*\*([\w ]+)\.\*\*", section, re.MULTILINE) == ["Means", "Look at", "Do"]


def test_no_runbook_is_about_an_alert_that_is_gone() -> None:
    assert set(re.findall(r"^## (Imagier\w+)$", (ROOT / RUNBOOKS).read_text("utf-8"), re.MULTILINE)) == ALERTS.keys()


def test_the_runbooks_lead_to_sections_and_ask_for_what_there_is() -> None:
    text = (ROOT / RUNBOOKS).read_text("utf-8")
    anchors = {
        re.sub(r"[^\w -]", "", title).replace(" ", "-").lower()
        for title in re.findall("^##+ (.*)$", text, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([\w-]+)\)", text)) <= anchors
    known = declared() | TRITON | RECORDED.keys()
    asked = set(re.findall(r"\b(?:imagier_\w+|nv_\w+|(?:task|model|instance):[\w:]+)", text))
    # A histogram may be called by its name alone.
    assert {
        name for name in asked if name not in known and f"{name}_bucket" not in known and f"{name}_total" not in known
    } == set()


def alert_tests() -> list[dict[str, Any]]:
    return [
        group for path in PROMETHEUS.glob("tests/*.yaml") for group in yaml.safe_load(path.read_text("utf-8"))["tests"]
    ]


def test_each_alert_is_tested_to_fire() -> None:
    fired = {
        found[1]
        for group in alert_tests()
        for test in group.get("promql_expr_test", [])
        if test["exp_samples"] and (found := re.search(r'alertname="(\w+)",alertstate="firing"', test["expr"]))
    }
    assert fired == ALERTS.keys()


def test_each_alert_is_tested_not_to_fire_on_what_it_looks_at() -> None:
    silent = [group for group in alert_tests() if "alert_rule_test" in group]
    assert {test["alertname"] for group in silent for test in group["alert_rule_test"]} == ALERTS.keys() - {WATCHDOG}
    for group in silent:
        there = {series["series"].partition("{")[0] for series in group["input_series"]}
        for test in group["alert_rule_test"]:
            assert test["exp_alerts"] == []
            assert raw(ALERTS[test["alertname"]]["expr"]) <= there, test["alertname"]


def test_the_dashboards_are_those_that_the_script_makes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(GRAFANA / "dashboards.py"), str(tmp_path)], check=True)
    made = {path.name: path.read_text("utf-8") for path in tmp_path.glob("*.json")}
    assert {path.name: path.read_text("utf-8") for path in GRAFANA.glob("*.json")} == made, "run `make dashboards`"


def test_the_dashboard_of_the_tasks_says_each_objective() -> None:
    (panel,) = (panel for panel in panels("tasks.json") if panel["title"] == "Later than the objective")
    for task in registry.tasks():
        assert f"{task.name} {task.objective_seconds:g} s" in panel["description"]


@pytest.mark.parametrize("name", ["overview", "tasks", "engines"])
def test_a_dashboard_works_with_any_prometheus(name: str) -> None:
    board = json.loads((GRAFANA / f"{name}.json").read_text("utf-8"))
    assert board["uid"] == f"imagier-{name}"
    assert board["templating"]["list"][0]["type"] == "datasource"
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    assert variables["namespace"]["allValue"] == ".*", "what has no namespace is matched, too"
    for panel in panels(f"{name}.json"):
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["fieldConfig"]["defaults"]["unit"]
        for target in panel["targets"]:
            assert set(re.findall(r"\$(\w+)", target["expr"])) - {"__rate_interval"} <= variables.keys()
            bare = re.sub(r'\{namespace=~"\$namespace[^}]*\}', "", target["expr"])
            assert "{" not in bare
            assert target["expr"].count('{namespace=~"$namespace') >= len(names(target["expr"]))


def test_prometheus_looks_where_the_gateway_listens() -> None:
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text("utf-8"))
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in config["scrape_configs"]}
    assert targets == {
        "imagier": [f"imagier:{Settings.model_fields['metrics_port'].default}"],
        "triton": ["triton:8002"],
    }
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yaml").read_text("utf-8"))["datasources"]
    assert source["jsonData"]["timeInterval"] == config["global"]["scrape_interval"]
