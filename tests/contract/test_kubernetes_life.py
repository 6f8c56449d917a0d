# SPDX-License-Identifier: Apache-2.0
"""Known mistakes in how pods live: probes, shutdown, scaling, being spread. Each test says why we do not make it."""

from __future__ import annotations

import re

from imagier_server.metrics import Metrics
from imagier_server.settings import Settings
from imagier_server.transport.grpc.server import CONNECTION_AGE_SECONDS, LIVENESS
from support.rendered import (
    BOTH,
    before_the_signal,
    container,
    each_overlay,
    each_pod,
    flags,
    named,
    of_kind,
    pod,
    seconds,
    setting,
    settings,
)

WORST_LOAD = 300
"""Seconds: more than twice what the home container has to load all models (its health check's start period, which a test keeps)."""

DNS_KEEPS = 30
"""Seconds, CoreDNS' default: `cache 30`, and the `ttl 30` of cluster names."""


@each_overlay
def test_connection_pinning__engines_and_gateways_have_an_address_each(overlay: str) -> None:
    for service, port in (("triton", 8001), ("imagier-pods", Settings.model_fields["port"].default)):
        spec = named(overlay, "Service", service)["spec"]
        assert spec["clusterIP"] == "None"
        (only,) = spec["ports"]
        # A headless service does not translate ports: who asks for it dials the pod's.
        assert only["port"] == port
        assert only["targetPort"] in {
            opened["name"] for opened in container(overlay, service.removesuffix("-pods"))["ports"]
        }
    assert settings(overlay)["engine"] == "triton:8001"


@each_pod
def test_liveness__asks_nothing_but_whether_the_process_lives(overlay: str, name: str) -> None:
    probe = container(overlay, name)["livenessProbe"]
    if name == "imagier":
        assert probe["grpc"] == {"port": 8500, "service": LIVENESS}
    else:
        assert probe["httpGet"] == {"path": "/v2/health/live", "port": "http"}
    assert seconds(probe) >= 60


@each_overlay
def test_startup_probe__longer_than_the_worst_model_load(overlay: str) -> None:
    triton = container(overlay, "triton")["startupProbe"]
    assert triton["httpGet"]["path"] == "/v2/health/ready"
    assert seconds(triton) >= 2 * WORST_LOAD
    gateway = container(overlay, "imagier")["startupProbe"]
    assert gateway["grpc"].get("service", "") == ""  # all models ready
    assert seconds(gateway) >= seconds(triton) + WORST_LOAD
    for name, probe in (("triton", triton), ("imagier", gateway)):
        assert named(overlay, "Deployment", name)["spec"]["progressDeadlineSeconds"] > seconds(probe)


@each_overlay
def test_grace__the_gateway_has_time_to_wait_and_to_drain(overlay: str) -> None:
    pause = before_the_signal(overlay, "imagier")
    drain, deadline = setting(overlay, "drain_seconds"), setting(overlay, "deadline_seconds")
    assert drain >= deadline
    assert pod(overlay, "imagier")["terminationGracePeriodSeconds"] >= pause + drain + 10


@each_overlay
def test_grace__triton_has_time_to_wait_and_to_finish(overlay: str) -> None:
    pause = before_the_signal(overlay, "triton")
    finish = int(flags(overlay)["exit-timeout-secs"])
    assert finish >= setting(overlay, "deadline_seconds")
    assert pod(overlay, "triton")["terminationGracePeriodSeconds"] >= pause + finish + 10


@each_pod
def test_pre_stop__waits_until_all_have_heard(overlay: str, name: str) -> None:
    pause = before_the_signal(overlay, name)
    # A gateway looks for engines this often, and may be told of one that leaves for as long as DNS keeps an answer.
    looks = DNS_KEEPS + setting(overlay, "engine_resolve_seconds")
    assert pause >= (10 if name == "imagier" else looks)


@each_overlay
def test_replicas__either_a_number_or_an_autoscaler(overlay: str) -> None:
    scaled = {item["spec"]["scaleTargetRef"]["name"] for item in of_kind(overlay, "ScaledObject")}
    counted = {item["metadata"]["name"] for item in of_kind(overlay, "Deployment") if "replicas" in item["spec"]}
    assert scaled & counted == set()
    assert scaled | counted == set(BOTH)
    assert of_kind(overlay, "HorizontalPodAutoscaler") == []  # KEDA makes its own


def test_scaling__asks_for_waiting_and_saturation_not_for_percent_of_cpu_or_gpu() -> None:
    known = {sample.name for family in Metrics().registry.collect() for sample in family.samples}
    known |= {family.name for family in Metrics().registry.collect()} | {"up", "nv_inference_pending_request_count"}
    queries = {}
    for item in of_kind("keda", "ScaledObject"):
        for trigger in item["spec"]["triggers"]:
            assert trigger["type"] == "prometheus"
            queries[item["metadata"]["name"], trigger["name"]] = trigger["metadata"]["query"]
    assert queries.keys() == {("triton", "pending"), ("triton", "saturation"), ("imagier", "saturation")}
    for query in queries.values():
        assert set(re.findall(r"(\w+)\{", query)) <= known
        assert query.count('namespace="imagier"') == query.count("{")


def test_scaling__up_at_once_down_slowly_and_never_to_none() -> None:
    for item in of_kind("keda", "ScaledObject"):
        spec = item["spec"]
        behaviour = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        assert spec["minReplicaCount"] >= 2
        assert spec["minReplicaCount"] <= spec["fallback"]["replicas"] <= spec["maxReplicaCount"]
        # What cannot be seen is no reason to scale in: neither Prometheus when it is away, nor a series that is missing.
        assert spec["fallback"]["behavior"] == "currentReplicasIfHigher"
        assert {trigger["metadata"]["ignoreNullValues"] for trigger in spec["triggers"]} == {"false"}
        assert behaviour["scaleUp"]["stabilizationWindowSeconds"] == 0
        assert behaviour["scaleDown"]["stabilizationWindowSeconds"] >= 300
        assert [policy["type"] for policy in behaviour["scaleDown"]["policies"]] == ["Pods"]


def test_scaling__clients_find_a_new_gateway_before_it_is_taken_away_again() -> None:
    config = named("keda", "ScaledObject", "imagier")["spec"]["advanced"]["horizontalPodAutoscalerConfig"]
    assert config["behavior"]["scaleDown"]["stabilizationWindowSeconds"] >= CONNECTION_AGE_SECONDS


@each_pod
def test_disruption_budget__lets_a_node_be_drained(overlay: str, name: str) -> None:
    budget = named(overlay, "PodDisruptionBudget", name)["spec"]
    assert budget["maxUnavailable"] == 1
    assert "minAvailable" not in budget
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    assert budget["selector"] == named(overlay, "Deployment", name)["spec"]["selector"]


@each_overlay
def test_probes__bypass_admission(overlay: str) -> None:
    """That health is answered while the gateway refuses work: tests/integration/test_gateway.py."""
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container(overlay, "imagier")[probe]["grpc"]["port"] == 8500
        assert set(container(overlay, "triton")[probe]["httpGet"]) == {"path", "port"}


@each_pod
def test_readiness__does_not_flap_under_load(overlay: str, name: str) -> None:
    probe = container(overlay, name)["readinessProbe"]
    assert probe["timeoutSeconds"] >= 5
    assert probe["failureThreshold"] >= 3
    if name == "imagier":
        # A model that is missing in Triton is one task's fault, not a reason to take every gateway out of service.
        assert probe["grpc"]["service"] == LIVENESS


@each_pod
def test_service_links__would_be_taken_for_settings(overlay: str, name: str) -> None:
    assert pod(overlay, name)["enableServiceLinks"] is False


@each_pod
def test_spread__over_zones_and_nodes_revision_by_revision(overlay: str, name: str) -> None:
    constraints = pod(overlay, name)["topologySpreadConstraints"]
    assert [one["topologyKey"] for one in constraints] == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
    for one in constraints:
        assert one["matchLabelKeys"] == ["pod-template-hash"]
        assert one["labelSelector"] == named(overlay, "Deployment", name)["spec"]["selector"]
    # Where their number is given, gateways wait for a node rather than crowd one. Peaks do not wait.
    counted = "replicas" in named(overlay, "Deployment", name)["spec"]
    nodes = "DoNotSchedule" if name == "imagier" and counted else "ScheduleAnyway"
    assert [one["whenUnsatisfiable"] for one in constraints] == ["ScheduleAnyway", nodes]


@each_pod
def test_rollout__a_pod_proves_itself_first(overlay: str, name: str) -> None:
    assert named(overlay, "Deployment", name)["spec"]["minReadySeconds"] >= 10
    strategy = named(overlay, "Deployment", "imagier")["spec"]["strategy"]["rollingUpdate"]
    assert strategy == {"maxSurge": "100%", "maxUnavailable": 0}


@each_overlay
def test_rollout__an_old_triton_stays_until_new_gateways_have_found_a_new_one(overlay: str) -> None:
    triton, gateway = (named(overlay, "Deployment", name)["spec"] for name in ("triton", "imagier"))
    old_triton = triton["minReadySeconds"] + before_the_signal(overlay, "triton")
    # DNS with its cache, what a start takes, and the time in which it proves itself and the old one leaves.
    assert old_triton >= 35 + 60 + gateway["minReadySeconds"] + before_the_signal(overlay, "imagier")


@each_overlay
def test_a_changed_setting_rolls_the_pods(overlay: str) -> None:
    (source,) = container(overlay, "imagier")["envFrom"]
    assert re.fullmatch(r"imagier-[a-z0-9]{10}", source["configMapRef"]["name"])
