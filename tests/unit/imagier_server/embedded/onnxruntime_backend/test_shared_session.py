# SPDX-License-Identifier: Apache-2.0
"""Processes that share a session: one opens it and all run it, and what the others see when it fails or ends."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import pytest
from imagier_server.embedded import process

# Opens a session that adds the number of its process to what it is given, and fails on what is above 200. Then it runs it once for
# each line of its input.
INSTANCE = """
import os, sys
from pathlib import Path
import numpy as np
import shared_session

class Adding:
    def run(self, outputs, feeds):
        if feeds["x"].max() > 200:
            raise OverflowError("201 is too much")
        return [feeds["x"] + np.int64(os.getpid()), np.zeros((len(feeds["x"]), 0), np.float32)]

def opened():
    print("opens", flush=True)
    if sys.stdin.readline() != "open\\n":
        raise ValueError("no graph")
    return Adding()

try:
    session = shared_session.joined("adding", Path(sys.argv[1]), opened)
except ValueError as error:
    sys.exit(str(error))
print("open", flush=True)
for line in sys.stdin:
    # Every second row of an array: not contiguous.
    x = np.array([[int(line)], [0]] * 2, np.int64)[::2]
    try:
        total, empty = session.run(["total", "empty"], {"x": x})
        print(*total.ravel(), total.shape, empty.shape, empty.dtype, flush=True)
    except shared_session.ElsewhereError as error:
        print("failed with", error.kind, flush=True)
    except Exception as error:
        print(type(error).__name__, flush=True)
"""


class Instance:
    """A process as Triton starts one for each instance."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-c", INSTANCE, str(folder)]
        environment = {"PYTHONPATH": str(process.BACKEND)}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )

    def __call__(self, *lines: str) -> list[str]:
        """Say the lines, and return as many answers."""
        return [self.say(line) or self.heard() for line in lines]

    def say(self, line: str) -> None:
        pipe(self.process.stdin).write(f"{line}\n")
        pipe(self.process.stdin).flush()

    def heard(self) -> str:
        return pipe(self.process.stdout).readline().strip()


def pipe(given: IO[str] | None) -> IO[str]:
    assert given
    return given


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Sequence[Instance]]:
    """The first has begun to open the session, and the second waits for that."""
    first = Instance(tmp_path)
    assert first.heard() == "opens"
    second = Instance(tmp_path)
    yield first, second
    for each in (first, second):
        each.process.kill()
        each.process.communicate()


def test_the_first_opens_it_and_both_run_it(two: Sequence[Instance]) -> None:
    first, second = two
    assert first("open") == ["open"]
    assert second.heard() == "open"
    pid = first.process.pid
    for each in (second, first, second):
        assert each("7", "100") == [f"{pid + row} {pid + row} (2, 1) (2, 0) float32" for row in (7, 100)]


def test_a_failed_run_is_told_by_its_kind_alone_and_the_next_one_works(two: Sequence[Instance]) -> None:
    first, second = two
    first("open")
    assert second.heard() == "open"
    failed, answered = second("201", "0")
    assert failed == "failed with OverflowError"
    assert answered.startswith(str(first.process.pid))


def test_when_the_first_has_ended_runs_fail_in_the_other(two: Sequence[Instance]) -> None:
    first, second = two
    first("open")
    assert second.heard() == "open"
    first.process.kill()
    first.process.wait()
    (answered,) = second("7")
    assert answered in {"ConnectionError", "ConnectionResetError", "BrokenPipeError"}


def test_what_cannot_be_opened_fails_in_both(two: Sequence[Instance]) -> None:
    first, second = two
    first.say("broken")
    assert second.heard() == "opens"  # it tries it itself
    second.say("broken")
    for each in two:
        assert each.process.wait() == 1
        assert pipe(each.process.stderr).read() == "no graph\n"


def test_a_killed_one_leaves_nothing_that_holds_up_the_next(two: Sequence[Instance], tmp_path: Path) -> None:
    first, second = two
    first.process.kill()
    assert second.heard() == "opens"
    assert second("open") == ["open"]
    assert second("7")[0].startswith(str(second.process.pid + 7))
