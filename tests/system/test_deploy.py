# SPDX-License-Identifier: Apache-2.0
"""The containers: their compose files by docker-compose itself, their images built step by step and run as they will be run."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from imagier_server import embedded
from support.image import CHECKOUT, Stage, build, setenv

DEPLOY = CHECKOUT / "deploy"

# Runs inside the container beside its command, as the container's own user: waits for the health check, asks for a picture,
# then stops the server as a container engine does.
VISITOR = """
import contextlib, json, signal, subprocess, sys, time, urllib.request
from PIL import Image, ImageDraw, ImageFont

command, healthcheck, address, http = json.loads(sys.argv[1])
sign = Image.new("RGB", (640, 240), "white")
ImageDraw.Draw(sign).text((60, 70), "PARKING", "black", ImageFont.load_default(80))
sign.save("/tmp/sign.jpg")
server = subprocess.Popen(command, stdout=sys.stderr)
began = time.monotonic()
while subprocess.run(healthcheck, stdout=sys.stderr).returncode != 0:
    assert time.monotonic() - began < 120, "not healthy within its start period"
    with contextlib.suppress(subprocess.TimeoutExpired):
        sys.exit(f"the server ended with {server.wait(timeout=2)}")
subprocess.run(["imagier", "annotate", "--server", address, "--format", "jsonl", "/tmp/sign.jpg"], check=True)
with open("/tmp/sign.jpg", "rb") as file:
    urllib.request.urlopen(f"http://127.0.0.1:{http}/v1/annotate?tasks=tags", file.read()).read()
server.send_signal(signal.SIGTERM)
assert server.wait(timeout=30) == 0, "SIGTERM was not an orderly end"
"""


@pytest.fixture(scope="module")
def images() -> Iterator[dict[str, Stage]]:
    """All stages of the Dockerfile, built from what git has or would take."""
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


def test_hadolint_has_nothing_to_say() -> None:
    found = subprocess.run(
        ["hadolint", "--no-color", str(DEPLOY / "Dockerfile")], capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stdout) == (0, "")


@pytest.mark.parametrize("file", ["compose.home.yaml", "compose.yaml"])
def test_docker_compose_accepts_the_file(file: str) -> None:
    shown = subprocess.run(
        ["docker-compose", "-f", str(DEPLOY / file), "config"], capture_output=True, text=True, check=False
    )
    assert (shown.returncode, shown.stderr) == (0, "")
    written = yaml.safe_load((DEPLOY / file).read_text("utf-8"))
    assert yaml.safe_load(shown.stdout)["services"].keys() == written["services"].keys()


def packages(stage: Stage) -> set[str]:
    return {path.name for path in stage.place("/imagier/venv").glob("lib/python*/site-packages/*")}


def test_the_images_have_no_exporter_and_the_gateway_no_engine(images: dict[str, Stage]) -> None:
    assert {"imagier_server", "imagier_client", "onnxruntime"} <= packages(images["home"])
    assert [images[name].place("/imagier/venv/share/imagier").is_dir() for name in ("home", "gateway")] == [True, False]
    assert {"imagier_server", "imagier_client", "opentelemetry"} <= packages(images["gateway"])
    assert packages(images["gateway"]) & {"pytriton", "onnxruntime"} == set()
    for name in ("home", "gateway", "models"):
        assert packages(images[name]) & {"torch", "onnx", "rapidocr", "skimage"} == set()


@pytest.mark.parametrize("name", ["home", "gateway", "models", "model-files"])
def test_all_may_read_the_image(images: dict[str, Stage], name: str) -> None:
    files = {path: path.lstat().st_mode for path in images[name].root.rglob("*")}
    assert [path for path, mode in files.items() if not stat.S_ISLNK(mode) and not mode & stat.S_IROTH] == []
    assert [path for path, mode in files.items() if stat.S_ISDIR(mode) and not mode & stat.S_IXOTH] == []


def test_the_models_as_mere_files(images: dict[str, Stage]) -> None:
    kinds = {path.suffix for path in images["model-files"].root.rglob("*") if path.is_file()}
    assert kinds == {".onnx", ".pbtxt", ".lock", ".txt", ".tsv", ".json", ".npz"}
    assert not images["model-files"].command


OPEN = {"IMAGIER_INSECURE_OPEN": "true"}  # as the compose files have it
RIGHTLESS = ("--setenv", "HOME", "/", "--cap-drop", "ALL", "--remount-ro", "/")


def test_the_models_verify_themselves_and_copy_themselves_to_a_volume(images: dict[str, Stage], tmp_path: Path) -> None:
    models = images["models"]
    assert models.user == "10001:10001"
    alone = (*RIGHTLESS, "--unshare-net")
    assert models.run(models.command, *alone, bind="--ro-bind", time_limit=60) == ""
    copying = ["imagier", "models", "copy", "/models", "/target"]
    models.run(copying, "--bind", str(tmp_path), "/target", *alone, bind="--ro-bind", time_limit=60)
    assert (tmp_path / "models.lock").read_bytes() == (images["model-files"].root / "models.lock").read_bytes()


def test_the_home_container_reads_a_picture_without_rights_and_without_a_writable_disk(
    images: dict[str, Stage],
) -> None:
    home = images["home"]
    assert home.user == "10001:10001"
    visit(home, "127.0.0.1:8500", 8502, *setenv(OPEN), *RIGHTLESS, "--unshare-net")


async def test_the_gateways_container_reads_a_picture_with_a_triton_elsewhere(images: dict[str, Stage]) -> None:
    gateway, models = images["gateway"], images["models"].place("/models")
    assert gateway.user == "10001:10001"
    # Loopback is this machine's here, so that it finds the Triton.
    port, metrics_port, http_port, triton_port = (free_port() for _ in range(4))
    gateway.healthcheck[-1] = gateway.healthcheck[-1].replace("8500", str(port))
    async with embedded.start(models, grpc_port=("127.0.0.1", triton_port)) as triton:
        told = {
            "IMAGIER_ENGINE": triton.grpc_address,
            "IMAGIER_PORT": str(port),
            "IMAGIER_METRICS_PORT": str(metrics_port),
            "IMAGIER_HTTP_PORT": str(http_port),
            **OPEN,
        }
        options = (*setenv(told), "--ro-bind", str(models), "/models", *RIGHTLESS)
        await asyncio.to_thread(visit, gateway, f"127.0.0.1:{port}", http_port, *options)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def visit(stage: Stage, address: str, http_port: int, *options: str) -> None:
    told = json.dumps([stage.command, stage.healthcheck, address, http_port])
    reply = stage.run(["/imagier/venv/bin/python", "-c", VISITOR, told], *options, bind="--ro-bind", time_limit=300)
    (line,) = map(json.loads, reply.splitlines())
    assert "PARKING" in line["response"]["ocr"]["text"]
    assert line["response"]["tags"]["models"]
