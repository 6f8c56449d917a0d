# SPDX-License-Identifier: Apache-2.0
"""What all tests share: a test's level is its folder, and `--no-skip` makes a skipped test a failure."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import imagier_server  # noqa: F401 - before ONNX Runtime, whose telemetry it switches off
import pytest
from hypothesis import settings

TESTS = Path(__file__).parent

# Settings, keys and the ledger of whoever runs the tests are not theirs.
for name in [name for name in os.environ if name.startswith("IMAGIER_") and name != "IMAGIER_SCREENSHOTS"]:
    del os.environ[name]
# Servers of several tests run at once, and are asked for the ports that they need.
os.environ["IMAGIER_HTTP_PORT"] = "0"

# No test asserts a duration: the machine may be busy.
settings.register_profile("busy", deadline=None)
settings.load_profile("busy")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skip", action="store_true", help="a test that is skipped fails")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(item.path.relative_to(TESTS).parts[0])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    return without_skip((yield), item.config)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Any:
    return without_skip((yield), collector.config)


def without_skip(report: Any, config: pytest.Config) -> Any:
    """The same report; with `--no-skip` a skip (but not an expected failure) has become a failure."""
    if report.skipped and config.getoption("--no-skip") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which --no-skip forbids: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def unused_tcp_port_factory() -> Callable[[], int]:
    """Free ports below those that the kernel gives to outgoing connections: one of these could be taken before it is bound."""
    ports = iter(random.SystemRandom().sample(range(12_000, 32_000), 20_000))

    def free() -> int:
        for port in ports:
            with socket.socket() as probe, suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
        raise AssertionError("no port is free")

    return free
