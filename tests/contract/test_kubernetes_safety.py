# SPDX-License-Identifier: Apache-2.0
"""Known mistakes in what pods may do and who may reach them. Each test says why we do not make it."""

from __future__ import annotations

import json
import re
from contextlib import closing
from typing import Any

import pytest
from imagier_server.ledger.database import Database
from imagier_server.settings import Settings
from support.rendered import (
    BOTH,
    ROOT,
    container,
    containers,
    each_overlay,
    each_pod,
    flags,
    named,
    objects,
    of_kind,
    pod,
    quantity,
)


@each_pod
def test_models__read_only_and_verified_before_anything_starts(overlay: str, name: str) -> None:
    spec = pod(overlay, name)
    (first,) = spec["initContainers"]
    (volume,) = [volume for volume in spec["volumes"] if volume["name"] == "models"]
    (mount,) = [mount for mount in container(overlay, name)["volumeMounts"] if mount["name"] == "models"]
    assert mount == {"name": "models", "mountPath": "/models", "readOnly": True}
    if overlay == "image-volume":
        assert first["command"] == ["imagier", "models", "verify", "/models"]
        assert first["volumeMounts"] == [mount]
        assert volume["image"]["reference"] == "imagier-model-files:0.1.0"
    else:
        assert first["command"] == ["imagier", "models", "copy", "/models", "/target"]
        assert first["volumeMounts"] == [{"name": "models", "mountPath": "/target"}]
        assert quantity(volume["emptyDir"]["sizeLimit"]) >= 2 * size_of_models()
    assert [volume for volume in spec["volumes"] if {"persistentVolumeClaim", "nfs", "hostPath"} & volume.keys()] == []


def size_of_models() -> int:
    lock = ROOT / "model_repository" / "models.lock"
    if not lock.is_file():
        pytest.skip("no models: `make models`")
    rows = json.loads(lock.read_bytes())["models"].values()
    return sum(file["size"] for row in rows for file in row["files"].values())


@each_overlay
def test_triton__neither_polls_nor_takes_orders_nor_calls_home(overlay: str) -> None:
    given = flags(overlay)
    assert given["model-control-mode"] == "none"
    assert given["allow-client-shm"] == "false"
    assert given["disable-auto-complete-config"] == ""
    assert given["strict-readiness"] == given["exit-on-error"] == "true"
    assert given["log-verbose"] == "0"
    orders = {"shared-memory", "model-repository", "statistics", "trace", "logging"}
    for flag, more in (
        ("http-restricted-api", {"metadata", "inference", "model-config"}),
        ("grpc-restricted-protocol", set()),
    ):
        names, _, key = given[flag].partition(":")
        assert set(names.split(",")) == orders | more
        assert key == "nobody=$(POD_UID)"
    telemetry, uid = container(overlay, "triton")["env"]
    assert telemetry == {"name": "ORT_DISABLE_TELEMETRY", "value": "1"}
    assert uid == {"name": "POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}


@each_pod
def test_images__by_version_never_latest(overlay: str, name: str) -> None:
    references = [one["image"] for one in containers(overlay, name)]
    references += [volume["image"]["reference"] for volume in pod(overlay, name)["volumes"] if "image" in volume]
    for reference in references:
        assert re.search(r":(\d[\w.-]+)(@sha256:[0-9a-f]{64})?$", reference), reference
    if name == "triton":
        release = re.search(r"/tritonserver:(\d+)\.(\d+)-py3", container(overlay, name)["image"])
        assert release
        # 26.04 is the first that knows --allow-client-shm; 25.08 has the security fixes of 2025.
        assert (int(release[1]), int(release[2])) >= (26, 4)


def test_open_port__the_one_to_the_outside_wants_tls_and_a_certificate() -> None:
    (gateway,) = of_kind("ingress", "Gateway")
    for listener in gateway["spec"]["listeners"]:
        assert (listener["protocol"], listener["tls"]["mode"]) == ("HTTPS", "Terminate")
    (policy,) = of_kind("ingress", "ClientTrafficPolicy")
    assert policy["spec"]["tls"]["clientValidation"]["caCertificateRefs"]
    assert "optional" not in policy["spec"]["tls"]["clientValidation"]
    (route,) = of_kind("ingress", "GRPCRoute")
    services = [match["method"]["service"] for rule in route["spec"]["rules"] for match in rule["matches"]]
    assert services == ["imagier.v1.AnnotatorService", "grpc.health.v1.Health"]
    (http,) = of_kind("ingress", "HTTPRoute")
    hosts = [route["spec"]["hostnames"], http["spec"]["hostnames"]]
    assert hosts == [[listener["hostname"]] for listener in gateway["spec"]["listeners"]]
    assert hosts[0] != hosts[1], "one host name has routes of one kind"


@each_overlay
def test_network__both_doors_are_open_and_no_other(overlay: str) -> None:
    doors = {Settings.model_fields[name].default for name in ("port", "http_port")}
    (service,) = [item["spec"] for item in of_kind(overlay, "Service") if item["metadata"]["name"] == "imagier"]
    opened = {port["name"]: port["containerPort"] for port in container(overlay, "imagier")["ports"]}
    assert {port["port"] for port in service["ports"]} == doors
    assert {opened[port["targetPort"]] for port in service["ports"]} == doors
    for policy in of_kind(overlay, "NetworkPolicy"):
        if policy["metadata"]["name"] in {"imagier", "envoy"}:
            assert {port["port"] for port in policy["spec"]["ingress"][0]["ports"]} == doors
    for route in (*of_kind(overlay, "GRPCRoute"), *of_kind(overlay, "HTTPRoute")):
        (backend,) = route["spec"]["rules"][0]["backendRefs"]
        assert backend["port"] in doors


@each_overlay
def test_open_port__no_service_leaves_the_cluster(overlay: str) -> None:
    assert {item["spec"].get("type", "ClusterIP") for item in of_kind(overlay, "Service")} == {"ClusterIP"}
    for name in BOTH:
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod(overlay, name).keys()
        assert [port for port in container(overlay, name)["ports"] if "hostPort" in port] == []


def test_envoy__does_not_end_calls_after_15_seconds() -> None:
    (policy,) = of_kind("ingress", "BackendTrafficPolicy")
    assert policy["spec"]["timeout"] == {"http": {"requestTimeout": "0s"}}
    routes = [route["metadata"]["name"] for kind in ("GRPCRoute", "HTTPRoute") for route in of_kind("ingress", kind)]
    assert [target["name"] for target in policy["spec"]["targetRefs"]] == routes


def test_retries__not_at_the_door_too() -> None:
    assert "retry" not in of_kind("ingress", "BackendTrafficPolicy")[0]["spec"]
    assert "retry" not in json.dumps(of_kind("ingress", "GRPCRoute") + of_kind("ingress", "HTTPRoute"))


@each_overlay
def test_network__nothing_is_allowed_but_what_is_said(overlay: str) -> None:
    deny = named(overlay, "NetworkPolicy", "deny-all")["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    gateway, triton = (named(overlay, "NetworkPolicy", name)["spec"] for name in BOTH)
    to_triton, _ = gateway["egress"]
    assert to_triton["ports"] == [{"port": 8001, "protocol": "TCP"}]
    assert selects(to_triton["to"], "triton", overlay)
    assert "egress" not in triton
    assert selects(triton["ingress"][0]["from"], "imagier", overlay)
    assert triton["ingress"][0]["ports"] == [{"port": 8001, "protocol": "TCP"}]
    for policy in of_kind(overlay, "NetworkPolicy"):
        assert all(rule.get("from") and rule["ports"] for rule in policy["spec"].get("ingress", []))


def selects(peers: list[dict[str, Any]], name: str, overlay: str) -> bool:
    """Whether the only peer is the pods of `name`, in the same namespace."""
    labels = named(overlay, "Deployment", name)["spec"]["template"]["metadata"]["labels"]
    (peer,) = peers
    return peer.keys() == {"podSelector"} and peer["podSelector"]["matchLabels"].items() <= labels.items()


@each_overlay
def test_network__the_gateway_may_ask_for_names(overlay: str) -> None:
    _, dns = named(overlay, "NetworkPolicy", "imagier")["spec"]["egress"]
    assert {(port["port"], port["protocol"]) for port in dns["ports"]} == {(53, "UDP"), (53, "TCP")}
    (peer,) = dns["to"]
    assert peer == {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        # CoreDNS keeps the label of its predecessor.
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    }


@each_overlay
def test_network__nobody_calls_out_but_the_gateway_and_only_where_it_is_told_to(overlay: str) -> None:
    calling = {p["metadata"]["name"]: p["spec"] for p in of_kind(overlay, "NetworkPolicy") if "egress" in p["spec"]}
    told = {variable["name"]: variable for variable in container(overlay, "imagier").get("env", [])}
    further = {"tracing": ("collector", "IMAGIER_TRACES"), "ledger": ("ledger", "IMAGIER_LEDGER")}.get(overlay)
    assert calling.keys() == {"imagier", *((further[0],) if further else ())}
    assert told.keys() - {"PGPASSWORD"} == {*((further[1],) if further else ())}
    for policy in calling.keys() - {"imagier"}:
        assert calling[policy]["podSelector"] == calling["imagier"]["podSelector"]
        (rule,) = calling[policy]["egress"]
        (peer,) = rule["to"]
        labels = {key: selector["matchLabels"] for key, selector in peer.items()}
        host, port = address(told)
        service, namespace, _ = host.split(".")
        assert labels == {
            "namespaceSelector": {"kubernetes.io/metadata.name": namespace},
            "podSelector": {"app.kubernetes.io/name": service},
        }
        assert rule["ports"] == [{"port": port, "protocol": "TCP"}]


def address(told: dict[str, dict[str, Any]]) -> tuple[str, int]:
    """Where the gateway is told to call: by its environment, or by the Secret that the page has made."""
    if "IMAGIER_TRACES" in told:
        settings = Settings.model_validate({"traces": told["IMAGIER_TRACES"]["value"]})
        host, _, port = str(settings.traces).partition(":")
        return host, int(port)
    page = (ROOT / "docs" / "deploy" / "kubernetes.md").read_text("utf-8")
    name = told["IMAGIER_LEDGER"]["valueFrom"]["secretKeyRef"]["name"]
    (literal,) = re.findall(rf"create secret generic {name} --from-literal=url=(\S+)", page)
    with closing(Database(literal)) as made:  # a URL that the gateway takes
        url = made.engine.url
    return str(url.host), url.port or 5432


def test_without_its_secret_a_gateway_with_a_ledger_does_not_start() -> None:
    for variable in container("ledger", "imagier")["env"]:
        assert variable["valueFrom"]["secretKeyRef"].keys() == {"name", "key"}, "not optional"


@each_overlay
def test_network__metrics_are_for_prometheus_alone(overlay: str) -> None:
    scraped = [
        policy["metadata"]["name"]
        for policy in of_kind(overlay, "NetworkPolicy")
        for rule in policy["spec"].get("ingress", [])
        if {port["port"] for port in rule["ports"]} & {"metrics", 8501, 8002}
    ]
    assert scraped == (["prometheus"] if of_kind(overlay, "PodMonitor") else [])


@each_overlay
def test_monitors__find_the_pods_and_name_the_jobs_as_the_rules_do(overlay: str) -> None:
    for monitor in of_kind(overlay, "PodMonitor"):
        labels = named(overlay, "Deployment", monitor["metadata"]["name"])["spec"]["template"]["metadata"]["labels"]
        assert monitor["spec"]["selector"]["matchLabels"].items() <= labels.items()
        assert labels[monitor["spec"]["jobLabel"]] == monitor["metadata"]["name"]
        opened = {port["name"] for port in container(overlay, monitor["metadata"]["name"])["ports"]}
        assert {endpoint["port"] for endpoint in monitor["spec"]["podMetricsEndpoints"]} <= opened
    # Triton's metrics are where its HTTP is, which is every address of the pod unless a flag says otherwise.
    assert {"http-address", "metrics-address"} & flags(overlay).keys() == set()
    assert len(of_kind(overlay, "PodMonitor")) == (2 if overlay in {"monitoring", "keda"} else 0)


@each_pod
def test_pod_security__is_restricted(overlay: str, name: str) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/, and more: a read-only root, no token."""
    spec = pod(overlay, name)
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] >= 1000
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for one in containers(overlay, name):
        assert one["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
    kinds = {kind for volume in spec["volumes"] for kind in volume.keys() - {"name"}}
    assert kinds <= {"emptyDir", "image"}
    (namespace,) = of_kind(overlay, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@each_pod
def test_what_is_written__stays_in_memory(overlay: str, name: str) -> None:
    spec = pod(overlay, name)
    written = {m["name"] for one in spec["containers"] for m in one["volumeMounts"] if not m.get("readOnly")}
    for volume in spec["volumes"]:
        if volume["name"] in written:
            assert volume["emptyDir"]["medium"] == "Memory"


@each_overlay
def test_labels__are_the_recommended_ones(overlay: str) -> None:
    version = re.search(
        r'__version__ = "(.*)"', (ROOT / "clients/python/imagier_client/__init__.py").read_text("utf-8")
    )
    assert version
    for item in objects(overlay):
        if item["kind"] in {"Deployment", "Service", "PodDisruptionBudget"}:
            labels = item["metadata"]["labels"]
            assert labels["app.kubernetes.io/part-of"] == "imagier"
            assert labels["app.kubernetes.io/version"] == version[1]
            assert {"app.kubernetes.io/name", "app.kubernetes.io/component"} <= labels.keys()
