# SPDX-License-Identifier: Apache-2.0
"""The home container repeats what is said elsewhere: ports, version, times. And it gives away no right that it can do without."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from imagier_client import __version__
from imagier_server.settings import Settings

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.home.yaml").read_text("utf-8"))
DOCKERFILE = (DEPLOY / "Dockerfile").read_text("utf-8")


def default(setting: str) -> Any:
    return Settings.model_fields[setting].default


def test_it_is_one_container_with_one_volume() -> None:
    assert list(COMPOSE["services"]) == ["imagier"]
    assert list(COMPOSE["volumes"]) == ["models"]


def test_the_image_and_its_models_bear_the_version() -> None:
    assert COMPOSE["services"]["imagier"]["image"] == f"imagier:{__version__}"
    assert COMPOSE["volumes"]["models"]["name"] == f"imagier-models-{__version__}"


def test_the_ports_are_the_defaults_and_open_to_this_machine_only() -> None:
    ports = [default("port"), default("metrics_port")]
    assert COMPOSE["services"]["imagier"]["ports"] == [f"127.0.0.1:{port}:{port}" for port in ports]
    assert re.findall(r"^EXPOSE (.*)$", DOCKERFILE, re.MULTILINE) == [" ".join(map(str, ports))]
    assert f"127.0.0.1:{default('port')}" in DOCKERFILE


def test_the_image_sets_only_what_the_settings_know() -> None:
    names = re.findall(r"IMAGIER_([A-Z_]+)=", DOCKERFILE)
    assert names
    assert {name.lower() for name in names} <= Settings.model_fields.keys()


def test_it_is_given_no_right_that_it_can_do_without() -> None:
    service = COMPOSE["services"]["imagier"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["volumes"] == ["models:/models:ro"]
    assert {"privileged", "cap_add", "network_mode", "pid", "ipc", "user", "devices"} & service.keys() == set()


def test_it_is_given_time_to_answer_what_is_under_way() -> None:
    grace = int(COMPOSE["services"]["imagier"]["stop_grace_period"].removesuffix("s"))
    assert grace >= default("drain_seconds") + 10
