# SPDX-License-Identifier: Apache-2.0
"""Sessions that say when their memory is in use, and the smallest run by a config."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from imagier_server.embedded import process


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module as Triton's stub imports it: its folder is on the path."""
    monkeypatch.syspath_prepend(str(process.BACKEND))
    import sessions

    return sessions


def warm_up(kind: str, *dims: int) -> dict[str, Any]:
    """A request as Triton hands it to its Python backend."""
    return {"batch_size": 4, "inputs": {"x": {"data_type": f"TYPE_{kind}", "dims": [str(side) for side in dims]}}}


@pytest.mark.parametrize(
    ("requests", "batch", "expected"),
    [
        ([warm_up("UINT8", 64, 64, 3), warm_up("UINT8", 8, 8, 3)], 1, ((1, 8, 8, 3), np.uint8)),
        ([warm_up("INT64", 2), warm_up("UINT8", 15)], 16, ((1, 15), np.uint8)),
        ([warm_up("FP32", 5)], 0, ((5,), np.float32)),
        ([warm_up("STRING", 1), warm_up("INT32", 9)], 1, ((1, 9), np.int32)),
    ],
)
def test_the_smallest_warm_up_is_found(
    sessions: ModuleType, requests: list[dict[str, Any]], batch: int, expected: tuple[tuple[int, ...], type]
) -> None:
    found = sessions.smallest_warm_up({"max_batch_size": batch, "model_warmup": requests})
    assert (found["x"].shape, found["x"].dtype) == expected
    assert not found["x"].any()


@pytest.mark.parametrize(("groups", "count"), [([], 1), ([{"count": 2}], 2), ([{"count": 2}, {"kind": "KIND_CPU"}], 3)])
def test_all_instances_share_it(sessions: ModuleType, groups: list[dict[str, Any]], count: int) -> None:
    assert sessions.instances({"instance_group": groups}) == count


def test_a_config_may_warm_nothing_up(sessions: ModuleType) -> None:
    assert sessions.smallest_warm_up({"max_batch_size": 1}) == {}


def test_only_more_than_the_smallest_run_counts_as_use(sessions: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    uses: list[str] = []

    class Memory:
        def __init__(self, give_back: object) -> None:
            assert callable(give_back)

        def used(self) -> None:
            uses.append("used")

    class Failing:
        def run(self, outputs: list[str], feeds: dict[str, Any]) -> None:
            raise OverflowError

    monkeypatch.setattr(sessions, "IdleMemory", Memory)
    session = sessions.Session(Failing(), {"x": np.zeros((1, 4), np.uint8)})
    assert uses == ["used"]  # loading
    for rows, times in ((1, 1), (2, 2)):
        with pytest.raises(OverflowError):
            session.run(["y"], {"x": np.zeros((rows, 4), np.uint8)})
        assert len(uses) == times
