# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
from imagier_server.errors import InvalidRequestError
from imagier_server.tasks.options import Option, check


@dataclass(frozen=True)
class Wanted:
    candidates: int | None = None
    min_score: float | None = None
    allow: tuple[str, ...] = ()
    plain: bool = False


OPTIONS = (
    Option("candidates", "1", 1, 5),
    Option("min_score", "0.5", 0, 1),
    Option("allow", "[]", 0, 2),
    Option("plain", "false"),
)


@pytest.mark.parametrize("wanted", [Wanted(), Wanted(1, 0.0, ("a", "b")), Wanted(5, 1.0), Wanted(plain=True)])
def test_what_is_unset_or_within_the_bounds_passes(wanted: Wanted) -> None:
    check("task", OPTIONS, wanted)


@pytest.mark.parametrize(
    ("wanted", "field", "text"),
    [
        (Wanted(candidates=0), "task.candidates", "candidates must be from 1 to 5"),
        (Wanted(candidates=6), "task.candidates", "candidates must be from 1 to 5"),
        (Wanted(min_score=-0.1), "task.min_score", "min_score must be from 0 to 1"),
        (Wanted(min_score=math.nan), "task.min_score", "min_score must be from 0 to 1"),
        (Wanted(min_score=math.inf), "task.min_score", "min_score must be from 0 to 1"),
        (Wanted(allow=("a", "b", "c")), "task.allow", "allow must have from 0 to 2 entries"),
    ],
)
def test_what_is_out_of_bounds_is_refused_by_name(wanted: Wanted, field: str, text: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        check("task", OPTIONS, wanted)
    assert (refused.value.field, refused.value.text) == (field, text)
