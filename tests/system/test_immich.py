# SPDX-License-Identifier: Apache-2.0
"""A real Node calls the façade of Immich: by undici's FormData, and by a multipart body built by hand."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from support.fake_triton import serving
from support.running_gateway import gateway, picture
from support.scripted_models import scripted_triton, write_repository

NOTHING = {"ocr": {"text": [], "box": [], "boxScore": [], "textScore": []}, "imageHeight": 480, "imageWidth": 640}


async def test_node_reads_the_answer_at_each_base_url(tmp_path: Path) -> None:
    (tmp_path / "preview.jpg").write_bytes(picture())
    script = Path(__file__).with_name("immich.mjs").read_text("utf-8")
    async with (
        serving(scripted_triton()) as port,
        gateway(write_repository(tmp_path / "repository"), port, 0, http_facades="immich") as running,
    ):
        await running.until(ready=True)
        bases = [running.http, f"{running.http}/immich/", f"{running.http}/immich/img_key/"]
        process = await asyncio.create_subprocess_exec(
            "node", "--input-type=module", "--eval", script, str(tmp_path / "preview.jpg"), *bases,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await asyncio.wait_for(process.communicate(), 300)
    assert (process.returncode, err.decode()) == (0, "")
    assert json.loads(out) == [[True, NOTHING, NOTHING]] * len(bases)
