# SPDX-License-Identifier: Apache-2.0
"""The official clients of OpenAI and Ollama for Node.js, which Karakeep uses, against the server before a scripted Triton."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from support.fake_triton import serving
from support.running_gateway import gateway, picture
from support.scripted_models import scripted_triton, write_repository

PACKAGES = Path(__file__).parents[2] / ".stamps" / "dialects"
"""Where `make test-system` installs them."""
TAGS = "cat, tabby cat"
FILLED = {"tags": ["cat", "tabby cat"]}


async def test_node_clients_read_every_answer(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(picture(size=(64, 64)))
    script = Path(__file__).with_name("dialects.mjs").read_text("utf-8")
    async with (
        serving(scripted_triton()) as port,
        gateway(write_repository(tmp_path / "repository"), port, 0) as running,
    ):
        await running.until(ready=True)
        process = await asyncio.create_subprocess_exec(
            "node", "--input-type=module", "--eval", script, running.http, str(tmp_path / "photo.jpg"),
            cwd=PACKAGES, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await asyncio.wait_for(process.communicate(), 120)
    assert (process.returncode, err.decode()) == (0, "")
    models = ["imagier", "imagier-caption", "imagier-tags", "imagier-ocr"]
    assert json.loads(out) == {
        "models": models,
        "completion": TAGS,
        "parsed": FILLED,
        "streamed": TAGS,
        "response": TAGS,
        "responseParsed": FILLED,
        "responseStreamed": TAGS,
        "refused": ["NotFoundError", 404, "model_not_found", "model"],
        "listed": [f"{model}:latest" for model in models],
        "capabilities": ["completion", "vision"],
        "generated": TAGS,
        "formatted": FILLED,
        "chatted": TAGS,
        "ollamaRefused": ["ResponseError", 400],
    }
