# SPDX-License-Identifier: Apache-2.0
"""The overlays as `kubectl kustomize` renders them, and what the tests ask of the objects."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from imagier_server.settings import Settings
from imagier_server.tasks.ocr.page import MAX_PIXELS

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
OVERLAYS = tuple(sorted(path.name for path in (DEPLOY / "kubernetes" / "overlays").iterdir()))

BOTH = ("imagier", "triton")
"""Our two Deployments."""

each_overlay = pytest.mark.parametrize("overlay", OVERLAYS)
each_pod = pytest.mark.parametrize(("overlay", "name"), list(itertools.product(OVERLAYS, BOTH)))

UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
"""Those that we use."""


@cache
def text(overlay: str) -> str:
    assert shutil.which("kubectl"), "no kubectl: `make test` brings one (.stamps/kubectl)"
    command = ["kubectl", "kustomize", str(DEPLOY / "kubernetes" / "overlays" / overlay)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@cache
def objects(overlay: str) -> tuple[dict[str, Any], ...]:
    return tuple(yaml.safe_load_all(text(overlay)))


def of_kind(overlay: str, kind: str) -> list[dict[str, Any]]:
    return [item for item in objects(overlay) if item["kind"] == kind]


def named(overlay: str, kind: str, name: str) -> dict[str, Any]:
    (item,) = [item for item in of_kind(overlay, kind) if item["metadata"]["name"] == name]
    return item


def pod(overlay: str, name: str) -> dict[str, Any]:
    spec: dict[str, Any] = named(overlay, "Deployment", name)["spec"]["template"]["spec"]
    return spec


def container(overlay: str, name: str) -> dict[str, Any]:
    """The one container of the Deployment `name`."""
    (only,) = pod(overlay, name)["containers"]
    return dict(only)


def containers(overlay: str, name: str) -> Iterator[dict[str, Any]]:
    spec = pod(overlay, name)
    return itertools.chain(spec["initContainers"], spec["containers"])


def settings(overlay: str) -> dict[str, str]:
    """What the gateway's environment says, by setting."""
    (source,) = container(overlay, "imagier")["envFrom"]
    data = named(overlay, "ConfigMap", source["configMapRef"]["name"])["data"]
    return {name.removeprefix("IMAGIER_").lower(): value for name, value in data.items()}


def setting(overlay: str, name: str) -> float:
    """As the gateway reads it: what the environment says, or the default."""
    return float(settings(overlay).get(name, Settings.model_fields[name].default))


def environment(service: dict[str, Any]) -> dict[str, str]:
    """What a service of a compose file is told, by setting."""
    return {name.removeprefix("IMAGIER_").lower(): str(value) for name, value in service["environment"].items()}


def worst_gibibytes(told: Mapping[str, str]) -> float:
    """What a gateway of these settings may need. The figures are docs/server.md's (What to size for)."""

    def value(name: str) -> float:
        return float(told.get(name, Settings.model_fields[name].default))

    # Of a larger picture no more is read at once.
    text = 0.2 * min(1.0, value("max_image_pixels") / MAX_PIXELS)
    held = (value("in_flight_bytes") + 2 * value("receive_bytes")) / 2**30  # gRPC's and HTTP's
    decoders = value("decoders") * value("decode_memory") / 2**30
    return decoders + value("in_flight") * text + held + 0.25


def flags(overlay: str) -> dict[str, str]:
    """Triton's, without their dashes."""
    pairs = (flag.removeprefix("--").partition("=") for flag in container(overlay, "triton")["args"])
    return {name: value for name, _, value in pairs}


def before_the_signal(overlay: str, name: str) -> int:
    """Seconds that a pod that is to end goes on as before."""
    return int(container(overlay, name)["lifecycle"]["preStop"]["sleep"]["seconds"])


def quantity(value: str) -> float:
    """Bytes or cores."""
    if value.endswith("m"):
        return int(value[:-1]) / 1000
    return float(value[:-2]) * UNITS[value[-2:]] if value[-2:] in UNITS else float(value)


def seconds(probe: dict[str, Any]) -> int:
    """How long a probe may fail before it has consequences."""
    return int(probe["periodSeconds"] * probe["failureThreshold"])
