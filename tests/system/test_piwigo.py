# SPDX-License-Identifier: Apache-2.0
"""Piwigo's calls by a real PHP with curl, and tickets of a gateway that is killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2 as httpx
from imagier_server.ledger.database import Database
from support.fake_triton import never, serving
from support.ledger_cases import account
from support.piwigo import CREDITS, PHOTO, Piwigo, made_key, piwigo
from support.scripted_models import scripted_triton, write_repository
from support.served_gateway import served

SCRIPT = Path(__file__).with_name("piwigo.php")


async def test_php_reads_every_answer(tmp_path: Path, unused_tcp_port: int) -> None:
    photo, taken = tmp_path / "IMG_0042 été.jpg", tmp_path / "taken.jsonl"
    photo.write_bytes(PHOTO)
    site = f"http://127.0.0.1:{unused_tcp_port}"
    repository = write_repository(tmp_path / "models")
    async with piwigo(repository, scripted_triton(), tmp_path, site, http_fetch_networks="127.0.0.1/32") as at:
        environment = os.environ | {"ACCOUNT": at.secret.split("_")[1], "TAKEN": str(taken)}
        page = await asyncio.create_subprocess_exec(
            "php", "-S", site.removeprefix("http://"), str(SCRIPT), env=environment, stderr=asyncio.subprocess.PIPE
        )
        try:
            assert page.stderr
            assert at.running
            assert b"started" in await page.stderr.readline()
            arguments = (
                f"{at.running.http}/piwigo",
                at.secret,
                "0.0.4beta",
                str(photo),
                f"{site}/ws.php?format=json&method=pwg.ai.analyze",
            )
            script = await asyncio.create_subprocess_exec(
                "php", str(SCRIPT), *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
            )
            out, err = await asyncio.wait_for(script.communicate(), 120)
            assert script.returncode == 0, out.decode() + err.decode()
            said: dict[str, Any] = json.loads(out)
            await at.has(CREDITS - 3 - 1 - 3)
            async with asyncio.timeout(60):
                while not taken.exists():  # noqa: ASYNC110 - the server makes it true
                    await asyncio.sleep(0)
        finally:
            page.terminate()
            await page.wait()
        assert (await at.get("tickets"))["tickets"] == []
    assert (said["health"], said["pong"], said["before"]) == ({"up": True}, True, CREDITS)
    asked, ticket = said["polled"]
    assert json.loads(asked["options"]) == {"caption": True, "tagging": True, "ocr": True}
    assert (ticket["ticket_id"], ticket["cost"]) == (asked["ticket_id"], 3)
    assert "chat" in ticket["tags"].split(",")
    asked, ticket, gone = said["acknowledged"]
    assert json.loads(asked["options"]) == {"caption": False, "tagging": True, "ocr": False}
    assert (ticket["description"], ticket["ocr"], ticket["cost"], gone) == (None, None, 1, True)
    form = json.loads(taken.read_text("utf-8"))
    assert (form["ticket_id"], form["cost"]) == (said["pushed"]["ticket_id"], "3")
    assert form["description"]
    assert said["refused"]["status"] == 400
    assert said["refused"]["message"]


async def test_tickets_of_a_gateway_that_is_killed_fail_and_their_credits_come_back(tmp_path: Path) -> None:
    repository, where = write_repository(tmp_path / "models"), str(tmp_path / "ledger.db")
    secret, fake = made_key(where), scripted_triton()
    tagger, fake.behaviours["tagger"] = fake.behaviours["tagger"], never
    flags = ("--ledger", where, "--http-port", "0", "--http-facades", "piwigo")
    only_tags = {"caption": "", "ocr": ""}

    async with serving(fake) as engine:
        async with served(repository, engine, tmp_path / "first.log", flags) as gateway:
            async with httpx.AsyncClient(base_url=f"http://{gateway.http}", trust_env=False, timeout=30) as client:
                at = Piwigo(client, secret)
                taken = {(await at.analyze(**only_tags))["ticket_id"] for _ in range(3)}
            with closing(Database(where)) as ledger:
                assert (account(ledger).balance, account(ledger).reserved) == (CREDITS, 3)
            gateway.process.send_signal(signal.SIGKILL)
            await gateway.process.wait()
        fake.behaviours["tagger"] = tagger
        async with (
            served(repository, engine, tmp_path / "second.log", flags) as gateway,
            httpx.AsyncClient(base_url=f"http://{gateway.http}", trust_env=False, timeout=30) as client,
        ):
            at = Piwigo(client, secret)
            lost = await at.collect(3)
            assert {ticket["ticket_id"] for ticket in lost} == taken
            assert all("restarted" in ticket["failed"] and ticket["cost"] == 0 for ticket in lost)
            await at.has(CREDITS)
            again = await at.analyze(**only_tags)
            assert [ticket["ticket_id"] for ticket in await at.collect()] == [again["ticket_id"]]
            await at.has(CREDITS - 1)
    with closing(Database(where)) as ledger:
        assert (account(ledger).balance, account(ledger).reserved) == (CREDITS - 1, 0)
