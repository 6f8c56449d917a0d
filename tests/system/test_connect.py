# SPDX-License-Identifier: Apache-2.0
"""Connect's own clients against a gateway: `buf curl`, and the TypeScript client @connectrpc/connect on Node."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.fake_triton import serving
from support.running_gateway import Gateway, gateway, picture
from support.scripted_models import scripted_triton, write_repository

ROOT = Path(__file__).parents[2]
BUF = ROOT / ".stamps" / "buf" / "node_modules" / ".bin" / "buf"
MODULES = ROOT / ".stamps" / "connect" / "node_modules"
PLUGIN = {"local": str(MODULES / ".bin" / "protoc-gen-es"), "out": "gen", "opt": ["target=js", "import_extension=js"]}
SERVICE = "imagier.v1.AnnotatorService"

ERROR_INFO = """syntax = "proto3";
package google.rpc;
message ErrorInfo { string reason = 1; string domain = 2; map<string, string> metadata = 3; }
"""

pytestmark = pytest.mark.skipif(not MODULES.exists() or not BUF.exists(), reason="make test-system installs them")


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with (
        serving(scripted_triton()) as engine,
        gateway(write_repository(tmp_path / "models"), engine, 0) as running,
    ):
        await running.until(ready=True)
        yield running


async def run(*command: str | Path, cwd: Path, given: bytes = b"") -> tuple[int, bytes, bytes]:
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "HOME": str(cwd), "NO_PROXY": "*"},
    )
    out, err = await process.communicate(given)
    return process.returncode or 0, out, err


async def test_buf_curl(running: Gateway, tmp_path: Path) -> None:
    async def curl(method: str, request: dict[str, object]) -> tuple[int, bytes, bytes]:
        url = f"{running.http}/{SERVICE}/{method}"
        arguments = ("curl", "--schema", ROOT / "protos", "--protocol", "connect", "--data", "@-", url)
        return await run(BUF, *arguments, cwd=tmp_path, given=json.dumps(request).encode())

    image = base64.b64encode(picture()).decode()
    status, out, err = await curl("Annotate", {"image": image, "tags": {"maxTags": 1}})
    assert status == 0, err
    assert json.loads(out)["tags"]["tags"][0]["names"] == {"en": "cat"}
    status, out, err = await curl("MatchKeywords", {"keywords": ["cat"]})
    assert json.loads(out)["matches"], err
    status, out, err = await curl("Annotate", {"image": "AAAA", "tags": {}})
    assert status != 0
    assert json.loads(err)["code"] == "invalid_argument"


async def test_the_typescript_client(running: Gateway, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(MODULES)
    shutil.copy(Path(__file__).parent / "connect_client.mjs", tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}', "ascii")
    protos = shutil.copytree(
        ROOT / "protos", tmp_path / "protos", ignore=shutil.ignore_patterns("*.py*", "__pycache__")
    )
    (protos / "google" / "rpc" / "error_details.proto").write_text(ERROR_INFO, "ascii")
    template = json.dumps({"version": "v2", "plugins": [PLUGIN]})
    status, _, err = await run(BUF, "generate", "protos", "--template", template, cwd=tmp_path)
    assert status == 0, err
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(picture())
    status, out, err = await run("node", "connect_client.mjs", running.http, photo, cwd=tmp_path)
    assert status == 0, err
    answers = [json.loads(line) for line in out.splitlines()]
    assert answers == 2 * [
        {
            "requestId": "seven",
            "tags": ["cat"],
            "tasks": ["tags", "ocr", "caption", "embedding", "fingerprint"],
            "refused": "InvalidArgument",
            "reasons": ["INVALID_IMAGE"],
        }
    ]
