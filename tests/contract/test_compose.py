# SPDX-License-Identifier: Apache-2.0
"""The compose files repeat what is said elsewhere: ports, version, times, flags. And they give away no right that can be spared."""

from __future__ import annotations

import json
import re
from importlib import resources
from typing import Any

import jsonschema
import pytest
import yaml
from imagier_client import __version__
from imagier_server.settings import Settings
from imagier_server.transport.http.facades import registry
from support.rendered import DEPLOY, container, environment, flags, seconds, worst_gibibytes

FILES: dict[str, dict[str, Any]] = {
    path.name: yaml.safe_load(path.read_text("utf-8")) for path in sorted(DEPLOY.glob("compose*.yaml"))
}
HOME, MACHINE = FILES["compose.home.yaml"]["services"], FILES["compose.yaml"]["services"]
OURS = {"home": HOME["imagier"], "gateway": MACHINE["imagier"], "models": MACHINE["models"]}
ENGINES = ("triton-cpu", "triton-gpu")
EMBEDDED_TRITON_GIBIBYTES = 2.9
"""At the worst, as docs/server.md has it."""
DOCKERFILE = (DEPLOY / "Dockerfile").read_text("utf-8")
EVERY = [(file, name) for file, content in FILES.items() for name in content["services"]]

each_file = pytest.mark.parametrize("file", FILES)
each_service = pytest.mark.parametrize(("file", "name"), EVERY)


def default(setting: str) -> Any:
    return Settings.model_fields[setting].default


def time_to_stop(service: dict[str, Any]) -> int:
    return int(service["stop_grace_period"].removesuffix("s"))


@each_file
def test_it_is_a_compose_file(file: str) -> None:
    schema = resources.files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    jsonschema.validate(FILES[file], json.loads(schema.read_text("utf-8")))


def test_at_home_it_is_one_container_with_one_volume() -> None:
    assert list(HOME) == ["imagier"]
    assert list(FILES["compose.home.yaml"]["volumes"]) == ["models"]


def test_a_profile_chooses_the_triton() -> None:
    assert {name: MACHINE[name].get("profiles") for name in MACHINE} == {
        "models": None,
        "imagier": None,
        "triton-cpu": ["cpu"],
        "triton-gpu": ["gpu"],
        "prometheus": None,
        "grafana": None,
    }
    cpu, gpu = (dict(MACHINE[name]) for name in ENGINES)
    (device,) = gpu.pop("deploy")["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
    assert gpu.pop("profiles") != cpu.pop("profiles")
    assert gpu == cpu


def test_the_images_and_their_models_bear_the_version() -> None:
    names = {"home": "imagier", "gateway": "imagier-gateway", "models": "imagier-models"}
    targets = re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, re.MULTILINE)
    assert targets[-1] == "home"
    for target, service in OURS.items():
        assert service["image"] == f"{names[target]}:{__version__}"
        assert service["build"].get("target", "home") == target
        assert target in targets
    for content in FILES.values():
        assert content["volumes"]["models"]["name"] == f"imagier-models-{__version__}"
    assert set(re.findall(r"-t (imagier[\w-]*):(\S+)", DOCKERFILE)) == {
        (name, __version__) for name in (*names.values(), "imagier-model-files")
    }


@each_service
def test_ports_are_open_to_this_machine_only(file: str, name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in FILES[file]["services"][name].get("ports", []))


def test_the_ports_are_the_defaults() -> None:
    ports = [default("port"), default("metrics_port"), default("http_port")]
    assert HOME["imagier"]["ports"] == [f"127.0.0.1:{port}:{port}" for port in ports]
    assert MACHINE["imagier"]["ports"] == [f"127.0.0.1:{port}:{port}" for port in (ports[0], ports[2])]
    assert re.findall(r"^EXPOSE (.*)$", DOCKERFILE, re.MULTILINE) == [" ".join(map(str, ports))]
    assert f"127.0.0.1:{default('port')}" in DOCKERFILE


def test_only_settings_that_there_are_are_set() -> None:
    names = re.findall(r"IMAGIER_([A-Z_]+)=", DOCKERFILE)
    assert names
    assert {name.lower() for name in names} <= Settings.model_fields.keys()
    told = environment(MACHINE["imagier"])
    Settings.model_validate(told)
    assert told["engine"] == "triton:8001"


def test_at_home_the_facades_are_chosen_from_outside_and_are_the_defaults_otherwise() -> None:
    assert environment(HOME["imagier"])["http_facades"] == f"${{IMAGIER_HTTP_FACADES:-{default('http_facades')}}}"


def test_what_the_pages_tell_to_turn_on_there_is() -> None:
    pages = [path.read_text("utf-8") for path in (DEPLOY.parent / "docs" / "integrations").glob("*.md")]
    named = re.findall(r"(?:--http-facades |IMAGIER_HTTP_FACADES=)([\w,-]+)", "".join(pages))
    assert len(named) >= 2
    for names in named:
        assert registry.enabled(names)


@each_service
def test_it_is_given_no_right_that_it_can_do_without(file: str, name: str) -> None:
    service = FILES[file]["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {"privileged", "cap_add", "pid", "ipc", "devices"} & service.keys() == set()
    assert service.get("network_mode", "none") == "none"
    for volume in service.get("volumes", []):
        # Prometheus and Grafana keep what they know; of pictures, neither knows anything.
        assert volume.endswith(":ro") or volume in {"prometheus:/prometheus", "grafana:/var/lib/grafana"}


def test_nobody_starts_before_the_models_are_verified() -> None:
    assert "command" not in MACHINE["models"]
    for name in ("imagier", *ENGINES):
        assert MACHINE[name]["depends_on"] == {"models": {"condition": "service_completed_successfully"}}
        assert "models:/models:ro" in MACHINE[name]["volumes"]


def test_triton_has_no_way_out_and_no_port() -> None:
    assert FILES["compose.yaml"]["networks"]["engines"] == {"internal": True}
    for name in ENGINES:
        assert MACHINE[name]["networks"] == {"engines": {"aliases": ["triton"]}}
        assert "ports" not in MACHINE[name]
    assert [name for name in MACHINE if "engines" in MACHINE[name].get("networks", [])] == [
        "imagier",
        *ENGINES,
        "prometheus",
    ]


@pytest.mark.parametrize("name", ENGINES)
def test_triton_has_the_flags_that_it_has_in_a_cluster(name: str) -> None:
    script = MACHINE[name]["entrypoint"][2]
    here = dict(re.findall(r"--([a-z-]+)=?(\S*)", script.replace('"', "").replace("$$nobody", "nobody=$(POD_UID)")))
    there = flags("gpu")
    # Probes are the kubelet's: here HTTP is closed instead. Metrics would be closed with it if nothing else were said.
    assert here.pop("http-address") == "127.0.0.1"
    assert here.pop("metrics-address") == "0.0.0.0"
    assert there.pop("http-restricted-api")
    assert here == there


@pytest.mark.parametrize(
    ("service", "engine"), [(MACHINE["imagier"], 0.0), (HOME["imagier"], EMBEDDED_TRITON_GIBIBYTES)]
)
def test_memory_is_enough_for_the_worst_that_the_settings_allow(service: dict[str, Any], engine: float) -> None:
    assert int(service["mem_limit"].removesuffix("g")) >= worst_gibibytes(environment(service)) + engine


def test_models_may_take_as_long_to_load_as_in_a_cluster() -> None:
    assert MACHINE["imagier"]["healthcheck"] == {
        "start_period": f"{seconds(container('gpu', 'triton')['startupProbe'])}s"
    }


def test_all_are_given_time_to_answer_what_is_under_way() -> None:
    assert time_to_stop(HOME["imagier"]) >= default("drain_seconds") + 10
    drain = int(MACHINE["imagier"]["environment"]["IMAGIER_DRAIN_SECONDS"])
    assert drain >= default("deadline_seconds")
    assert time_to_stop(MACHINE["imagier"]) >= drain + 10
    for name in ENGINES:
        assert time_to_stop(MACHINE[name]) >= int(flags("gpu")["exit-timeout-secs"]) + 10


def test_nobody_calls_home() -> None:
    assert [MACHINE[name]["environment"] for name in ENGINES] == [{"ORT_DISABLE_TELEMETRY": "1"}] * len(ENGINES)
    every_start = [stage for stage in DOCKERFILE.split("\nFROM ")[1:] if stage.startswith("python:")]
    assert ["ORT_DISABLE_TELEMETRY=1" in stage for stage in every_start] == [True, True]
    # Grafana's own calls to grafana.com and gravatar.com, all on by default.
    assert {
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
        "GF_NEWS_NEWS_FEED_ENABLED": "false",
        "GF_PLUGINS_PREINSTALL_DISABLED": "true",
        "GF_SECURITY_DISABLE_GRAVATAR": "true",
    }.items() <= MACHINE["grafana"]["environment"].items()
