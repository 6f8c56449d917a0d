# SPDX-License-Identifier: Apache-2.0
"""How commands end, and what their arguments share."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import typer
from imagier_client.cli.command import INTERRUPTED, NO_OUTPUT, credentials, listed, run
from support.made_certificates import Authority


async def end(outcome: int | BaseException) -> int:
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


@pytest.mark.parametrize(("outcome", "status"), [(0, 0), (3, 3), (KeyboardInterrupt(), INTERRUPTED)])
def test_a_command_ends_with_its_status(outcome: int | BaseException, status: int) -> None:
    assert run(end(outcome)) == status


def test_output_that_cannot_be_written_has_a_status_of_its_own() -> None:
    code = """
import sys
from imagier_client.cli.command import run

async def write():
    for _ in range(10_000):
        print("a line of output")
    sys.stdout.flush()

sys.exit(run(write()))
"""
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert ended.returncode == NO_OUTPUT
    assert ended.stderr == "imagier: the output cannot be written: No space left on device\n"


def test_another_fault_of_the_system_is_no_such_status() -> None:
    with pytest.raises(FileNotFoundError):
        run(end(FileNotFoundError(2, "no")))


def test_a_fault_is_no_status() -> None:
    with pytest.raises(ZeroDivisionError):
        run(end(ZeroDivisionError()))


@pytest.mark.parametrize(
    ("argument", "parts"), [("", ()), (",", ()), ("en", ("en",)), (" en , fr,", ("en", "fr")), ("a b", ("a b",))]
)
def test_lists(argument: str, parts: tuple[str, ...]) -> None:
    assert listed(argument) == parts


def test_tls_goes_with_a_server_and_files_that_can_be_used(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    own = authority.issue("me")
    assert credentials(None, False, None, None, None) is None
    assert credentials("a:1", False, None, None, None) is None
    assert credentials("a:1", True, None, None, None)
    assert credentials("a:1", False, authority.certificate, own.certificate, own.key)
    for wrong, hint in (
        ((None, True, None, None, None), "'--tls'"),
        (("a:1", False, tmp_path / "away", None, None), "'--tls-ca'"),
        (("a:1", False, None, own.certificate, None), "'--tls-certificate'"),
    ):
        with pytest.raises(typer.BadParameter) as raised:
            credentials(*wrong)
        assert raised.value.param_hint == hint
