# SPDX-License-Identifier: Apache-2.0
"""A real Prometheus with the committed rules watches a real gateway under load, while its Triton is killed and comes back."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import samples
import yaml
from imagier.v1 import annotator_pb2, annotator_pb2_grpc, ocr_pb2, tags_pb2
from support.real_server import Server, called, encoded, serve

PROMETHEUS = Path(__file__).parents[2] / "deploy" / "prometheus"
# Pictures and questions until what must come counts as not coming.
PATIENCE = 3000
# What a machine busy with something else may bring about, too.
SLOW = {
    "ImagierLatencyBudgetBurnsFast",
    "ImagierLatencyBudgetBurnsSlowly",
    "ImagierEventLoopLags",
    "ImagierTritonQueueSlow",
}


class Prometheus:
    """One that runs, asked over HTTP."""

    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}/api/v1"

    def alerts(self) -> dict[str, str]:
        """State by name: pending or firing. Nothing while it starts."""
        return {alert["labels"]["alertname"]: alert["state"] for alert in self._get("alerts").get("alerts", ())}

    def has(self, expression: str) -> bool:
        return bool(self._get(f"query?query={urllib.parse.quote(expression)}").get("result"))

    def _get(self, what: str) -> dict[str, Any]:
        try:
            with urllib.request.urlopen(f"{self._address}/{what}") as answer:
                data: dict[str, Any] = json.load(answer)["data"]
                return data
        except urllib.error.URLError:
            return {}


@contextmanager
def watching(server: Server, folder: Path, port: int) -> Iterator[Prometheus]:
    """The committed configuration, but for addresses and intervals."""
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text("utf-8"))
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(PROMETHEUS / rules) for rules in config["rule_files"]]
    addresses = {"imagier": f"127.0.0.1:{server.metrics_port}", "triton": server.triton_metrics}
    for job in config["scrape_configs"]:
        job["static_configs"] = [{"targets": [addresses[job["job_name"]]]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), "utf-8")
    command = ["prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
    try:
        yield Prometheus(port)
        assert process.poll() is None, (folder / "prometheus.log").read_text("utf-8")
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def under_load(server: Server) -> Iterator[Callable[[Callable[[], bool]], None]]:
    """Sends pictures, one after the other, until something holds."""
    sign = encoded(samples.street_sign(), "JPEG")
    request = annotator_pb2.AnnotateRequest(image=sign, tags=tags_pb2.TagsOptions(), ocr=ocr_pb2.OcrOptions())
    with grpc.insecure_channel(server.address) as channel:
        stub = annotator_pb2_grpc.AnnotatorServiceStub(channel)

        def until(holds: Callable[[], bool]) -> None:
            for _ in range(PATIENCE):
                stub.Annotate(request)
                if holds():
                    return
            raise TimeoutError

        yield until


@pytest.fixture
def server(tmp_path: Path, unused_tcp_port_factory: Callable[[], int]) -> Iterator[Server]:
    with serve(tmp_path, unused_tcp_port_factory()) as running:
        yield running


def test_a_killed_triton_is_noticed_by_the_right_alert(
    server: Server,
    under_load: Callable[[Callable[[], bool]], None],
    tmp_path: Path,
    unused_tcp_port_factory: Callable[[], int],
) -> None:
    files = [PROMETHEUS / "rules" / name for name in ("objectives.yaml", "recording.yaml")]
    groups = [group for file in files for group in yaml.safe_load(file.read_text("utf-8"))["groups"]]
    # What only a GPU reports has nothing to say here.
    recorded = [
        rule["record"] for group in groups for rule in group["rules"] if not re.search("gpu|joules", rule["record"])
    ]
    with watching(server, tmp_path, unused_tcp_port_factory()) as prometheus:
        # Every rule has something to say of a real gateway and of the Triton of the wheel; no alert has.
        under_load(lambda: all(map(prometheus.has, recorded)))
        under_load(lambda: prometheus.alerts().keys() - SLOW == {"ImagierWatchdog"})
        for process in called("tritonserver", server.family):
            process.kill()
        under_load(lambda: prometheus.alerts().get("ImagierNoEngine") == "pending")
        related = {"ImagierWatchdog", "ImagierNoEngine", "ImagierEngineDown", "ImagierTritonUnreachable"}
        related.add("ImagierErrorBudgetBurnsFast")
        assert prometheus.alerts().keys() - SLOW <= related
        under_load(lambda: prometheus.has('task:imagier_failures:ratio_rate5m{reason="ENGINE_UNAVAILABLE"} > 0'))
        under_load(lambda: "ImagierNoEngine" not in prometheus.alerts())
