# SPDX-License-Identifier: Apache-2.0
"""Labels are bounded, and what is not an event is read when it is asked for."""

from __future__ import annotations

import math
from pathlib import Path

from imagier_server import app  # noqa: F401 - so that every error there is has been declared
from imagier_server.errors import ImagierError, causes
from imagier_server.metrics import MAX_ENGINES, OTHER, Metrics


def engines(metrics: Metrics) -> set[str]:
    (family,) = [family for family in metrics.registry.collect() if family.name == "imagier_engine_attempts"]
    return {sample.labels["engine"] for sample in family.samples}


def test_engines_that_come_and_go_leave_no_series() -> None:
    metrics = Metrics()
    for number in range(3 * MAX_ENGINES):
        label = metrics.add_engine(f"10.0.0.{number}:8001")
        metrics.engine_attempts.labels(label, "ok").inc()
        metrics.remove_engine(label)
    assert engines(metrics) == set()


def test_too_many_engines_share_what_is_left() -> None:
    metrics = Metrics()
    labels = [metrics.add_engine(f"10.0.0.{number}:8001") for number in range(MAX_ENGINES + 5)]
    assert labels[MAX_ENGINES:] == [OTHER] * 5
    assert len(engines(metrics)) == MAX_ENGINES + 1
    ready = {label: metrics.registry.get_sample_value("imagier_engine_ready", {"engine": label}) for label in labels}
    assert ready == dict.fromkeys(labels, 0) | {OTHER: None}, "0 is an alert, and nobody sets the shared one"
    metrics.remove_engine(OTHER)
    assert OTHER in engines(metrics), "others may still share it"
    assert metrics.add_engine("10.0.0.0:8001") == "10.0.0.0:8001", "known already"


def test_causes_are_constants_and_every_bound_has_its_own() -> None:
    assert causes() >= {"PICTURES_FULL", "BYTES_FULL", "QUEUE_FULL", "DECODER_CRASHED", "DRAINING", ImagierError.reason}
    assert "OVERLOADED" not in causes()
    assert all(cause.replace("_", "").isupper() for cause in causes())


def test_memory_is_what_the_container_uses_and_may_use(tmp_path: Path) -> None:
    def memory() -> tuple[float | None, float | None]:
        value = metrics.registry.get_sample_value
        return value("imagier_memory_bytes"), value("imagier_memory_limit_bytes")

    metrics = Metrics(cgroup=tmp_path)
    assert all(math.isnan(value or 0) for value in memory()), "no container"
    (tmp_path / "memory.current").write_text("5000\n")
    (tmp_path / "memory.stat").write_text("anon 3000\nfile 2000\ninactive_file 1500\n")
    (tmp_path / "memory.max").write_text("8192\n")
    assert memory() == (3500, 8192)
    (tmp_path / "memory.max").write_text("max\n")
    assert memory() == (3500, math.inf)
