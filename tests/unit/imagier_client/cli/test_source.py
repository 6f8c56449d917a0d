# SPDX-License-Identifier: Apache-2.0
"""Pictures on their way into a run, and their answers on the way out."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from imagier_client.cli import source as module
from imagier_client.cli.source import Source
from imagier_client.cli.tally import Tally
from imagier_client.errors import ImageTooLargeError, InvalidImageError, UnreadableFileError
from imagier_client.files.paths import STDIN


def given(content: bytes, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As standard input."""
    (folder / "stdin").write_bytes(content)
    monkeypatch.setattr(sys, "stdin", (folder / "stdin").open())


GONE = UnreadableFileError("gone")


async def test_answers_are_given_in_the_order_of_the_pictures() -> None:
    tally = Tally()
    source = Source(iter([(Path("gone"), GONE), (Path("a"), None), (Path("b"), None)]), tally)
    assert await source.look_ahead()
    assert source.total is None
    sent = [item async for item in source.pictures()]
    assert sent == [(1, Path("a")), (2, Path("b"))]
    assert (source.total, tally.found) == (3, 3)
    late, early = InvalidImageError("a"), InvalidImageError("b")
    source.done[2] = early
    assert list(source.in_turn()) == [(Path("gone"), GONE)]
    source.done[1] = late
    assert list(source.in_turn()) == [(Path("a"), late), (Path("b"), early)]


async def test_where_none_can_be_sent_all_is_said_at_the_end() -> None:
    source = Source(iter([(Path("gone"), GONE)]), Tally())
    assert not await source.look_ahead()
    assert list(source.rest()) == [(Path("gone"), GONE)]


def test_what_a_run_does_not_reach_is_counted() -> None:
    tally = Tally()
    Source(iter([(Path("a"), None)] * 5), tally).count_rest()
    assert (tally.found, tally.complete) == (5, True)


def test_counting_comes_to_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count()
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(ticks) / 10))
    tally = Tally()
    Source(itertools.repeat((Path("a"), None)), tally).count_rest()
    assert 0 < tally.found < 10
    assert not tally.complete


async def test_standard_input_is_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given(b"GIF89a", tmp_path, monkeypatch)
    source = Source(iter([(STDIN, None)]), Tally())
    assert [item async for item in source.pictures()] == [(0, b"GIF89a")]
    assert (source.content(STDIN), source.content(Path("a"))) == (b"GIF89a", None)


async def test_input_without_an_end_is_no_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given(b"123456", tmp_path, monkeypatch)
    monkeypatch.setattr(module, "MOST_FROM_STDIN", 5)
    source = Source(iter([(STDIN, None)]), Tally())
    assert [item async for item in source.pictures()] == []
    ((_, error),) = source.in_turn()
    assert isinstance(error, ImageTooLargeError)


async def test_no_standard_input_is_no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    source = Source(iter([(STDIN, None)]), Tally())
    assert [item async for item in source.pictures()] == []
    ((_, error),) = source.in_turn()
    assert isinstance(error, UnreadableFileError)
