# SPDX-License-Identifier: Apache-2.0
"""Known mistakes in what pods ask for: processor time, memory, disk, GPUs. Each test says why we do not make it."""

from __future__ import annotations

from imagier_server.settings import Settings
from support.rendered import (
    BOTH,
    ROOT,
    container,
    containers,
    each_overlay,
    each_pod,
    named,
    pod,
    quantity,
    settings,
    worst_gibibytes,
)


@each_pod
def test_cpu_limits__none_but_a_request(overlay: str, name: str) -> None:
    for one in containers(overlay, name):
        assert "cpu" not in one["resources"]["limits"]
        assert quantity(one["resources"]["requests"]["cpu"]) > 0


@each_overlay
def test_without_cpu_limits__nothing_counts_the_nodes_cores(overlay: str) -> None:
    assert {"decoders", "compute_threads"} <= settings(overlay).keys()
    for config in (ROOT / "model_repository").glob("*/config.pbtxt"):
        assert 'key: "intra_op_thread_count"' in config.read_text("utf-8"), config


@each_pod
def test_ephemeral_storage__has_a_limit_and_so_has_every_volume(overlay: str, name: str) -> None:
    for one in containers(overlay, name):
        assert quantity(one["resources"]["limits"]["ephemeral-storage"]) >= 2**30
    for volume in pod(overlay, name)["volumes"]:
        if "emptyDir" in volume:
            assert quantity(volume["emptyDir"]["sizeLimit"]) <= 2**30


@each_overlay
def test_settings__are_such_and_within_bounds(overlay: str) -> None:
    Settings.model_validate(settings(overlay))


@each_overlay
def test_memory__is_enough_for_the_worst_that_the_settings_allow(overlay: str) -> None:
    resources = container(overlay, "imagier")["resources"]
    assert quantity(resources["limits"]["memory"]) / 2**30 >= worst_gibibytes(settings(overlay))
    for name in BOTH:
        resources = container(overlay, name)["resources"]
        assert resources["requests"]["memory"] == resources["limits"]["memory"]


@each_overlay
def test_gpus__are_whole_tolerated_and_not_surged(overlay: str) -> None:
    limits = container(overlay, "triton")["resources"]["limits"]
    strategy = named(overlay, "Deployment", "triton")["spec"]["strategy"]["rollingUpdate"]
    if overlay == "one-node":
        assert "nvidia.com/gpu" not in limits
        assert strategy == {"maxSurge": 1, "maxUnavailable": 0}
    else:
        assert limits["nvidia.com/gpu"] == "1"
        assert [one["key"] for one in pod(overlay, "triton")["tolerations"]] == ["nvidia.com/gpu"]
        assert strategy == {"maxSurge": 0, "maxUnavailable": 1}
    assert "nvidia.com/gpu" not in container(overlay, "imagier")["resources"]["limits"]
