# SPDX-License-Identifier: Apache-2.0
"""PHP's own curl sends what Piwigo's plugin Tag Recognition sends, fifty pictures at once, to a server with room for two."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from support.fake_triton import serving
from support.running_gateway import gateway, picture
from support.scripted_models import scripted_triton, write_repository

SCRIPT = Path(__file__).with_name("tag_recognition.php")


async def test_the_plugins_batch_in_php(tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    # More than a mebibyte, for which curl asks first whether the server wants it.
    photo.write_bytes(picture(size=(64, 48)) + bytes(1_100_000))
    waits = {"in_flight": 2, "batch_wait_seconds": 250.0, "deadline_seconds": 300.0}
    async with (
        serving(scripted_triton()) as port,
        gateway(write_repository(tmp_path / "repository"), port, 0, http_facades="azure", **waits) as running,
    ):
        await running.until(ready=True)

        async def php(language: str, times: int) -> list[object]:
            process = await asyncio.create_subprocess_exec(
                "php", str(SCRIPT), running.http, "any", language, "1", str(times), str(photo),
                stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            out, _ = await asyncio.wait_for(process.communicate(), 250)
            assert process.returncode == 0
            return list(json.loads(out))

        assert await php("fr", 50) == [["chat"]] * 50
        assert await php("tlh", 1) == ["Api Error"]
