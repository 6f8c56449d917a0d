# SPDX-License-Identifier: Apache-2.0
"""The home container: its compose file by docker-compose itself, its image built step by step and run as it will be run."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from image import CHECKOUT, Stage, build, setenv

DEPLOY = CHECKOUT / "deploy"

# Runs inside the container beside its command, as the container's own user: waits for the health check, asks for a picture,
# then stops the server as a container engine does.
VISITOR = """
import contextlib, json, signal, subprocess, sys, time
from imagier_client.samples import street_sign

command, healthcheck = json.loads(sys.argv[1])
street_sign().save("/tmp/sign.jpg")
server = subprocess.Popen(command, stdout=sys.stderr)
began = time.monotonic()
while subprocess.run(healthcheck, stdout=sys.stderr).returncode != 0:
    assert time.monotonic() - began < 120, "not healthy within its start period"
    with contextlib.suppress(subprocess.TimeoutExpired):
        sys.exit(f"the server ended with {server.wait(timeout=2)}")
subprocess.run(["imagier", "annotate", "--server", "127.0.0.1:8500", "--format", "jsonl", "/tmp/sign.jpg"], check=True)
server.send_signal(signal.SIGTERM)
assert server.wait(timeout=30) == 0, "SIGTERM was not an orderly end"
"""


@pytest.fixture(scope="module")
def image() -> Iterator[Stage]:
    """The last stage of the Dockerfile, built from what git has or would take."""
    pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    asked = subprocess.run([sys.executable, "-m", "pip", "cache", "dir"], capture_output=True, text=True, check=True)
    cache = Path(asked.stdout.strip())
    cache.mkdir(parents=True, exist_ok=True)
    # pip is as this machine has it set up, and what `make test` has downloaded is not downloaded again.
    options = [
        "--bind",
        str(cache),
        "/tmp/pip",
        *setenv({**pip, "PIP_NO_CACHE_DIR": "false", "PIP_CACHE_DIR": "/tmp/pip"}),
    ]
    with tempfile.TemporaryDirectory(prefix="imagier-image-") as folder:
        context = Path(folder, "context")
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=CHECKOUT,
            capture_output=True,
            check=True,
        )
        for name in filter(None, listed.stdout.decode().split("\0")):
            if (CHECKOUT / name).is_file():
                (context / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(CHECKOUT / name, context / name)
        arguments = {"PIP_EXTRA": os.environ.get("PIP_EXTRA", "")}
        yield build(DEPLOY / "Dockerfile", context, Path(folder, "stages"), arguments, options)


def test_docker_compose_accepts_the_file() -> None:
    shown = subprocess.run(
        ["docker-compose", "-f", str(DEPLOY / "compose.home.yaml"), "config"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    assert shown.stderr == ""
    assert list(yaml.safe_load(shown.stdout)["services"]) == ["imagier"]


def test_hadolint_has_nothing_to_say() -> None:
    found = subprocess.run(
        ["hadolint", "--no-color", str(DEPLOY / "Dockerfile")], capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stdout) == (0, "")


def test_the_image_has_no_exporter_and_all_may_read_it(image: Stage) -> None:
    packages = {path.name for path in image.place("/imagier/venv").glob("lib/python*/site-packages/*")}
    assert {"imagier_server", "imagier_client", "pytriton", "onnxruntime"} <= packages
    assert packages & {"torch", "onnx", "rapidocr", "skimage"} == set()
    assert image.place("/models/models.lock").is_file()
    files = {path: path.lstat().st_mode for path in image.root.rglob("*")}
    assert [path for path, mode in files.items() if not stat.S_ISLNK(mode) and not mode & stat.S_IROTH] == []
    assert [path for path, mode in files.items() if stat.S_ISDIR(mode) and not mode & stat.S_IXOTH] == []


def test_the_container_reads_a_picture_without_rights_and_without_a_writable_disk(image: Stage) -> None:
    assert image.user == "10001:10001"
    visit = json.dumps([image.command, image.healthcheck])
    reply = image.run(
        ["/imagier/venv/bin/python", "-c", VISITOR, visit],
        *("--setenv", "HOME", "/", "--unshare-net", "--cap-drop", "ALL", "--remount-ro", "/"),
        bind="--ro-bind",
        time_limit=300,
    )
    (line,) = map(json.loads, reply.splitlines())
    assert "PARKING" in line["response"]["text"]["text"]
    assert line["response"]["tags"]["models"]
