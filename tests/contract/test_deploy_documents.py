# SPDX-License-Identifier: Apache-2.0
"""Commands of the deployment pages: run as they stand, or marked with what they need; what those name is there."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from imagier_server.settings import Settings
from support.rendered import DEPLOY, OVERLAYS, ROOT, environment, named, objects, worst_gibibytes

MARKS = {"a container engine", "a cluster", "a registry", "a running server"}
MINE = "deploy/kubernetes/overlays/mine"
"""The reader's own overlay, which alone names images that a cluster can pull."""
STARTS = ("one-node", "gpu", "monitoring", "keda")
"""Overlays that it may begin with."""
PAGES = sorted((ROOT / "docs" / "deploy").glob("*.md"))


def blocks() -> Iterator[tuple[str, str, str, str]]:
    """Page, language, mark and body of every fence."""
    for page in PAGES:
        for language, body in re.findall(r"^```(\w*)\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL):
            mark = re.match(r"# needs (.*)\n", body)
            yield page.name, language, mark[1] if mark else "", body


def commands(marked: bool) -> list[str]:
    lines = [
        line.partition(" #")[0].strip()
        for _, language, mark, body in blocks()
        if not language and bool(mark) is marked
        for line in body.splitlines()
        if line.strip() and not line.startswith("#")
    ]
    return list(dict.fromkeys(lines))


def option(words: list[str], name: str) -> list[str]:
    return [value for word, value in pairwise(words) if word == name]


def test_every_mark_is_one_that_is_known() -> None:
    assert {mark for _, _, mark, _ in blocks() if mark} == MARKS


@pytest.mark.parametrize("command", commands(marked=False))
def test_it_runs_as_it_stands(command: str) -> None:
    done = subprocess.run(shlex.split(command), cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


@pytest.mark.parametrize("command", commands(marked=True))
def test_what_it_names_is_there(command: str) -> None:
    words = shlex.split(command)
    for path in (word for word in words if word.startswith("deploy/") and word != MINE):
        assert (ROOT / path).exists()
    match words[:2]:
        case ["kubectl", _]:
            check_kubectl(words)
        case ["docker", "compose"]:
            files = option(words, "-f")
            (known,) = [
                yaml.safe_load((ROOT / file).read_text("utf-8")) for file in files if file.startswith("deploy/")
            ]
            profiles = {name for service in known["services"].values() for name in service.get("profiles", [])}
            assert set(option(words, "--profile")) <= profiles
            assert profiles == set() or option(words, "--profile")
        case ["docker", "build"]:
            (target,) = option(words, "--target")
            assert re.search(rf"^FROM \S+ AS {target}$", (DEPLOY / "Dockerfile").read_text("utf-8"), re.MULTILINE)
        case ["make", target]:
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
        case _:
            assert words[0] in {"docker", "git", "imagier"}


def check_kubectl(words: list[str]) -> None:
    assert set(option(words, "-n")) <= {"imagier"}
    assert set(option(words, "-k")) <= {MINE}
    for file in option(words, "-f"):
        assert shown(file)
    for word in words:
        if word.startswith("deployment/"):
            named("gpu", "Deployment", word.removeprefix("deployment/"))
    for name in option(words, "-c"):
        assert name == "models"
    if "secret" in words:
        assert f"name: {words[words.index('secret') + 2]}" in yaml.safe_dump([*objects("ingress"), *objects("ledger")])


def shown(file: str) -> str:
    """What a page has as the content of `file`."""
    (body,) = [body for _, _, _, body in blocks() if body.startswith(f"# {file}\n")]
    return body


@pytest.mark.parametrize("components", [False, True], ids=["as it stands", "every component"])
@pytest.mark.parametrize("start", STARTS)
def test_the_overlay_that_the_page_shows_can_be_built(start: str, components: bool, tmp_path: Path) -> None:
    overlay = shown("kustomization.yaml")
    (begins,) = re.findall(r"^  - \.\./gpu +# or (.*)$", overlay, re.MULTILINE)
    assert {"gpu", *begins.split(", ")} == set(STARTS)
    assert set(re.findall(r"components/([a-z-]+)$", overlay, re.MULTILINE)) == set(OVERLAYS) - set(STARTS)
    overlay = overlay.replace("../gpu ", f"../{start} ")
    if components:
        overlay = overlay.replace("  # - ", "  - ")
    shutil.copytree(DEPLOY / "kubernetes", tmp_path / "kubernetes")
    folder = tmp_path / "kubernetes" / "overlays" / "mine"
    folder.mkdir()
    (folder / "kustomization.yaml").write_text(overlay, "utf-8")
    built = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, check=True)
    items = list(yaml.safe_load_all(built.stdout))
    assert {item["metadata"].get("namespace", "imagier") for item in items} == {"imagier"}
    (settings,) = [item["data"] for item in items if "IMAGIER_ENGINE" in item.get("data", {})]
    assert settings["IMAGIER_LOG_LEVEL"] == "warning"
    assert settings["IMAGIER_ENGINE"] == "triton:8001"
    images = re.findall(r"'(?:image|reference)': '([^']+)'", str(items))
    assert [image for image in images if not image.startswith(("registry.example.org/", "nvcr.io/"))] == []


def test_the_replicas_that_are_handed_over_are_those_of_the_overlay() -> None:
    for item in yaml.safe_load_all(shown("replicas.yaml")):
        replicas = named("gpu", item["kind"], item["metadata"]["name"])["spec"]["replicas"]
        assert item["spec"] == {"replicas": replicas}


def test_the_memory_that_the_page_gives_is_enough_for_the_settings_that_it_raises() -> None:
    first = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))["services"]["imagier"]
    more = yaml.safe_load(shown("compose.override.yaml"))["services"]["imagier"]
    told = environment({"environment": first["environment"] | more["environment"]})
    assert int(more["mem_limit"].removesuffix("g")) >= worst_gibibytes(told)


def test_the_ledger_that_the_page_gives_is_a_setting_and_outlasts_the_container() -> None:
    more = yaml.safe_load(shown("compose.ledger.yaml"))["services"]["imagier"]
    told = Settings.model_validate({"host": "0.0.0.0", **environment(more)})
    assert not told.anyone_may_call
    (mount,) = more["volumes"]
    inside = mount.split(":")[1]
    assert str(told.ledger).startswith(f"{inside}/")
    user = re.search(r"^USER (\d+):", (DEPLOY / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    page = (ROOT / "docs" / "deploy" / "single-gpu.md").read_text("utf-8")
    assert user
    assert f"install -d -o {user[1]} -m 700 {mount.split(':')[0]}`" in page, "the container's user may write there"


def test_the_gateway_is_stopped_before_its_triton() -> None:
    stops = [words for words in map(shlex.split, commands(marked=True)) if "stop" in words]
    assert [words[words.index("stop") + 1 :] for words in stops] == [["imagier"], []]


def overlays_table() -> set[str]:
    page = (ROOT / "docs" / "deploy" / "kubernetes.md").read_text("utf-8")
    return set(re.findall(r"^\| `([a-z-]+)` \| .* \|$", page.partition("```")[0], re.MULTILINE))


def test_every_overlay_stands_in_the_page() -> None:
    assert overlays_table() == set(OVERLAYS)


def test_the_times_of_a_shutdown_are_those_of_the_manifests() -> None:
    page = (ROOT / "docs" / "deploy" / "kubernetes.md").read_text("utf-8")
    specs: list[dict[str, Any]] = [
        named("gpu", "Deployment", name)["spec"]["template"]["spec"] for name in ("imagier", "triton")
    ]
    pauses = [spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"] for spec in specs]
    assert f"(`preStop`) | {pauses[0]} s | {pauses[1]} s;" in page
    killed = [spec["terminationGracePeriodSeconds"] for spec in specs]
    assert f"(`terminationGracePeriodSeconds`) | {killed[0]} s | {killed[1]} s |" in page
