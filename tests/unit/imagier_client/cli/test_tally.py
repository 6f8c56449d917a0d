# SPDX-License-Identifier: Apache-2.0
"""The line that a run ends with."""

from __future__ import annotations

from pathlib import Path

from imagier_client.cli.tally import Tally


def line(tally: Tally) -> str:
    """Without the time."""
    return str(tally).rpartition(", ")[0]


def test_all_is_said() -> None:
    tally = Tally()
    assert line(tally) == "0 annotated, 0 failed, 0 passed over, 0 or more not reached"
    tally.found, tally.annotated, tally.failed = 7, 4, 1
    tally.complete = True
    assert line(tally) == "4 annotated, 1 failed, 0 passed over, 2 not reached"


def test_what_is_passed_over_is_named_by_its_ending() -> None:
    tally = Tally()
    tally.complete = True
    for name in ("a.xmp", "b.XMP", "c", "d.txt", "e.mp4", "f.\x1b[2J", "g." + "x" * 20, "h.txt"):
        tally.pass_over(Path(name))
    assert "8 passed over (2 .xmp, 2 .txt, 2 others, 2 more)" in line(tally)
    tally = Tally()
    tally.pass_over(Path("Makefile"))
    assert "1 passed over (1 without ending)" in line(tally)
