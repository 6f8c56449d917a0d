# SPDX-License-Identifier: Apache-2.0
"""The page of a server that asks for keys, in a real Chromium."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from imagier_server.ledger import keys
from imagier_server.ledger.database import Database
from imagier_server.ledger.keys import Wish
from selenium.webdriver.common.keys import Keys
from support.browser import PATIENCE, Browser
from support.page import ANSWERED, FAILED, bring
from support.site import BLUE, RED, Site, file_of, scene, site

CREDITS = 4  # one picture costs three
SHOWN = "document.body.dataset.state === 'failed' && document.activeElement.id === 'key'"


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with closing(Database(str(tmp_path_factory.mktemp("ledger") / "ledger.db"))) as made:
        made.migrate()
        yield made


@pytest.fixture(scope="module")
def running(
    ledger: Database, tmp_path_factory: pytest.TempPathFactory, unused_tcp_port_factory: Callable[[], int]
) -> Iterator[Site]:
    ports = (unused_tcp_port_factory(), unused_tcp_port_factory())
    with site(tmp_path_factory.mktemp("site"), ports) as made:
        made.start("--ledger", ledger.where)
        yield made


def test_it_asks_for_a_key_reads_with_it_and_says_when_credits_are_gone(
    chromium_window: Browser, running: Site, ledger: Database, tmp_path: Path
) -> None:
    with ledger.writing() as connection:
        secret = keys.create(connection, Wish("library", ("tasks",), allowance=CREDITS))[1]
    page = chromium_window
    page.open(running.address)
    page.until(SHOWN)
    assert "asks for an API key" in page.find("#trouble").text
    assert page.violations() == []
    bring(page, file_of(scene()))  # it waits for the key
    page.find("#key").send_keys("img_no_such_key", Keys.ENTER)
    page.until(SHOWN)
    page.find("#key").clear()
    page.find("#key").send_keys(secret, Keys.ENTER)
    page.until(ANSWERED)
    assert page.texts(".lines .words") == [RED, BLUE]
    assert page.find("#trouble").text == ""

    # One credit is left: enough for text alone, by the very call that is shown.
    page.find("#options > summary").click()
    for task in ("tags", "caption"):
        page.find(f"#task-{task}").click()
    page.find("#again").click()
    page.until(f"({ANSWERED}) && !document.querySelector('#results .tags')")
    call = page.find("#call-curl pre").get_attribute("textContent")
    page.find("#again").click()
    page.until(FAILED, "used_up")
    assert "Ask whoever runs this server" in page.find("#trouble").text

    (tmp_path / "scene.png").write_bytes(file_of(scene()))
    environment = {**os.environ, "IMAGIER_KEY": secret}
    done = subprocess.run(
        ["bash", "-c", call],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    assert '"status":402' in done.stdout, "the key was known"
