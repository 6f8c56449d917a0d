# SPDX-License-Identifier: Apache-2.0
"""`make manifests`: writes the Prometheus rules and Grafana dashboards as Kubernetes objects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[1]
TARGET = DEPLOY / "kubernetes" / "components" / "monitoring"
HEAD = """\
# SPDX-License-Identifier: Apache-2.0
# Written by `make manifests` from deploy/prometheus and deploy/grafana; change those.
"""


def rules() -> str:
    """One PrometheusRule with every group of deploy/prometheus/rules."""
    files = sorted((DEPLOY / "prometheus" / "rules").glob("*.yaml"))
    groups = [group for file in files for group in yaml.safe_load(file.read_text("utf-8"))["groups"]]
    metadata = {"name": "imagier", "labels": {"release": "kube-prometheus-stack"}}
    return HEAD + _yaml(
        {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PrometheusRule",
            "metadata": metadata,
            "spec": {"groups": groups},
        }
    )


def dashboards() -> str:
    """One ConfigMap with every dashboard of deploy/grafana, with the label that Grafana's chart selects."""
    files = sorted((DEPLOY / "grafana").glob("*.json"))
    # Without spaces: an object may have at most a megabyte.
    data = {file.name: json.dumps(json.loads(file.read_text("utf-8")), separators=(",", ":")) for file in files}
    metadata = {"name": "imagier-dashboards", "labels": {"grafana_dashboard": "1"}}
    return HEAD + _yaml({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})


WRITTEN = {TARGET / "rules.yaml": rules, TARGET / "dashboards.yaml": dashboards}


def _yaml(item: dict[str, Any]) -> str:
    return yaml.safe_dump(item, sort_keys=False, allow_unicode=True, width=120)


if __name__ == "__main__":
    for path, text in WRITTEN.items():
        path.write_text(text(), "utf-8")
