# SPDX-License-Identifier: Apache-2.0
"""One gateway and one browser for the tests of a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from support.browser import Browser, chromium
from support.page import READY
from support.site import Site, site


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, unused_tcp_port_factory: Callable[[], int]) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("site"), (unused_tcp_port_factory(), unused_tcp_port_factory())) as made:
        made.start()
        yield made


@pytest.fixture(scope="module")
def chromium_window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture
def page(chromium_window: Browser, running: Site) -> Browser:
    """The page, just opened on a desk."""
    chromium_window.complaints()
    chromium_window.open(running.address)
    chromium_window.until(READY)
    return chromium_window
