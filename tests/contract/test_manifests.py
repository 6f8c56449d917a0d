# SPDX-License-Identifier: Apache-2.0
"""Every overlay renders, and every object in it is one that the oldest and the newest cluster understand."""

from __future__ import annotations

import runpy
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from kubernetes_validate import utils
from support.rendered import DEPLOY, OVERLAYS, objects, of_kind, text

NEWEST = kubernetes_validate.latest_version()
OLDEST = {overlay: "1.35" if overlay == "image-volume" else "1.30" for overlay in OVERLAYS}
"""preStop's sleep is on from 1.30, image volumes from 1.35."""

# It would read its megabytes of definitions again for each object.
utils.schema_contents = cache(utils.schema_contents)


@cache
def foreign() -> dict[str, Any]:
    """Schemas of what Kubernetes itself does not know. A kind that is in neither fails."""
    loaded: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("crds.yaml").read_text("utf-8"))
    return loaded


def check(item: dict[str, Any], version: str) -> None:
    schema = foreign().get(f"{item['apiVersion']} {item['kind']}")
    if schema is None:
        kubernetes_validate.validate(item, version, strict=True)
    else:
        assert item.keys() == {"apiVersion", "kind", "metadata", "spec"}
        jsonschema.validate(item["spec"], {**schema, "definitions": foreign()["definitions"]})


def test_the_schemas_are_schemas() -> None:
    for name, schema in foreign().items():
        if name != "definitions":
            jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_oldest_and_newest_cluster_understand_it(overlay: str) -> None:
    for item in objects(overlay):
        check(item, OLDEST[overlay])
        check(item, NEWEST)


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("Deployment", ("spec", "template", "spec", "terminationGraceSeconds"), 60),
        ("ScaledObject", ("spec", "maxReplicas"), 3),
        ("PodMonitor", ("spec", "selector", "app"), "imagier"),
        ("Service", ("kind",), "Sevice"),
    ],
)
def test_what_is_misspelt_is_found(kind: str, path: tuple[str, ...], value: object) -> None:
    item = yaml.safe_load(yaml.safe_dump(of_kind("keda", kind)[0]))
    check(item, NEWEST)
    place = item
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises((jsonschema.ValidationError, kubernetes_validate.SchemaNotFoundError)):
        check(item, NEWEST)


def test_rules_and_dashboards_are_those_that_serve_everywhere_else() -> None:
    for path, written in runpy.run_path(str(DEPLOY / "kubernetes" / "monitoring_objects.py"))["WRITTEN"].items():
        assert path.read_text("utf-8") == written(), "make manifests"
        # The API server takes no object above a megabyte.
        assert path.stat().st_size < 2**20


def test_every_component_is_in_an_overlay() -> None:
    used = "".join(
        path.read_text("utf-8") for path in (DEPLOY / "kubernetes" / "overlays").glob("*/kustomization.yaml")
    )
    for component in (DEPLOY / "kubernetes" / "components").iterdir():
        assert f"../../components/{component.name}\n" in used


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_all_live_in_the_overlays_namespace(overlay: str) -> None:
    for item in objects(overlay):
        namespace = item["metadata"]["name"] if item["kind"] == "Namespace" else item["metadata"]["namespace"]
        assert namespace == "imagier"
    assert "namespace: imagier" not in "".join(
        path.read_text("utf-8") for path in (DEPLOY / "kubernetes" / "base").iterdir()
    )
    assert text(overlay).count("kind: Namespace") == 1
