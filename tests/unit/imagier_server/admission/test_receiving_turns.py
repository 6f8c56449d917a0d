# SPDX-License-Identifier: Apache-2.0
"""Whose message is read next: fairness between callers, health checks before their turn."""

from __future__ import annotations

import asyncio

import pytest
from imagier_server.admission import receiving
from imagier_server.call import Caller
from support.uploads import MESSAGE, Uploads


async def test_who_has_fewest_under_way_comes_first() -> None:
    uploads = Uploads(total=0)  # one at a time
    flood, polite = Caller("flood", "1"), Caller("polite", "2")
    started = [uploads.start("a", flood)]
    await uploads.until("a")
    started += [uploads.start(name, flood) for name in "bc"]
    started.append(uploads.start("polite", polite))
    await asyncio.sleep(0)
    uploads.ends["a"].set()
    await uploads.until("a", "polite")
    for task in started:
        task.cancel()
    await asyncio.wait(started)
    await uploads.receiving.close()


async def test_a_health_check_does_not_wait_behind_a_flood_from_its_own_address(uploads: Uploads) -> None:
    flood, health = Caller("somebody", "1"), Caller("somebody", "2")
    theirs = []
    for name in "abcd":
        theirs.append(uploads.start(name, flood))
        await uploads.until(*"abcd"[: len(theirs)])
    uploads.arrive("1", 5 * MESSAGE)
    await uploads.looks(3)
    waiting = [uploads.start(name, flood) for name in "ef"]
    checks = [uploads.start(name, health, small=True) for name in ("x", "y")]
    await uploads.until(*"abcd", "x")
    assert not any(task.done() for task in theirs)
    uploads.ends["x"].set()
    await uploads.until(*"abcd", "x", "y")
    for task in (*theirs, *waiting, *checks):
        task.cancel()
    await asyncio.wait([*theirs, *waiting, *checks])
    await uploads.receiving.close()


async def test_health_checks_that_bring_much_are_let_in_before_their_turn_one_at_a_time(
    uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiving, "_PATIENCE_SECONDS", 3600)
    flood = Caller("somebody", "1")
    theirs = []
    for name in "abcd":
        theirs.append(uploads.start(name, flood))
        await uploads.until(*"abcd"[: len(theirs)])
    uploads.arrive("1", 4 * MESSAGE)
    await uploads.looks(3)
    liars = [uploads.start(name, Caller("somebody", name), small=True) for name in ("x", "y")]
    await uploads.until(*"abcd", "x")
    uploads.arrive("x", MESSAGE)
    await uploads.looks(5)
    await uploads.until(*"abcd", "x")
    for task in (*theirs, *liars):
        task.cancel()
    await asyncio.wait([*theirs, *liars])
    await uploads.receiving.close()


async def test_a_health_check_of_which_nothing_comes_holds_up_no_other(uploads: Uploads) -> None:
    flood = Caller("somebody", "1")
    silent = uploads.start("silent", Caller("somebody", "2"), small=True)
    await uploads.until("silent")
    theirs = []
    for name in "abcd":
        theirs.append(uploads.start(name, flood))
        await uploads.until("silent", *"abcd"[: len(theirs)])
    uploads.arrive("1", 4 * MESSAGE)
    await uploads.looks(3)
    check = uploads.start("check", Caller("somebody", "3"), small=True)
    await uploads.until("silent", *"abcd", "check")
    for task in (*theirs, silent, check):
        task.cancel()
    await asyncio.wait([*theirs, silent, check])
    await uploads.receiving.close()
