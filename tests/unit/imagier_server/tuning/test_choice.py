# SPDX-License-Identifier: Apache-2.0
"""Which ways are tried on which machine, and which of those measured is taken."""

from __future__ import annotations

from dataclasses import replace

import pytest
from imagier_server.overlay import FP32, ONNX_RUNTIME, OPENVINO, Way
from imagier_server.tuning.choice import Figures, best, engines, splits

OWN = Way(ONNX_RUNTIME, FP32, 2, 1)
VINO = Way(OPENVINO, FP32, 2, 1)
BF16 = Way(OPENVINO, "BF16", 2, 1)


def test_openvino_is_tried_where_it_is_installed_and_bf16_where_the_processor_has_it() -> None:
    assert engines(OWN, ["avx2"], openvino=False) == [OWN]
    assert engines(OWN, ["avx2"], openvino=True) == [OWN, VINO]
    for flag in ("amx_bf16", "avx512_bf16"):
        assert engines(OWN, ["avx2", flag], openvino=True) == [OWN, VINO, BF16]
    assert engines(VINO, ["avx2"], openvino=True) == [VINO, OWN]


@pytest.mark.parametrize(
    ("cores", "expected"),
    [
        (1, []),
        (2, [(2, 2)]),
        (4, [(2, 2), (4, 1), (2, 4)]),
        (16, [(2, 8), (4, 4), (8, 2), (16, 1), (2, 16)]),
    ],
)
def test_the_cores_are_split_between_instances(cores: int, expected: list[tuple[int, int]]) -> None:
    ways = splits(OWN, cores)
    assert [(way.instances, way.threads) for way in ways] == expected
    assert {way.accelerator for way in ways} <= {ONNX_RUNTIME}


def test_the_highest_rate_is_taken() -> None:
    other = Figures(VINO, alone_ms=20, per_second=120)
    assert best([Figures(OWN, alone_ms=10, per_second=100), other], OWN) == other


def test_of_those_as_fast_the_one_that_answers_a_lone_request_sooner() -> None:
    wide = Figures(replace(OWN, threads=2), alone_ms=6, per_second=97)
    assert best([Figures(OWN, alone_ms=10, per_second=100), wide], OWN) == wide


def test_what_is_installed_stays_unless_another_way_is_clearly_better() -> None:
    own = Figures(OWN, alone_ms=10, per_second=100)
    assert best([own, Figures(VINO, alone_ms=9.5, per_second=103)], OWN) == own
    assert best([own, Figures(VINO, alone_ms=8, per_second=99)], OWN).way == VINO


def test_more_instances_must_be_worth_their_memory() -> None:
    own = Figures(OWN, alone_ms=10, per_second=100)
    four, eight = (Figures(replace(OWN, instances=count), 10, rate) for count, rate in ((4, 108), (8, 119)))
    assert best([own, four], OWN) == own
    assert best([own, four, eight], OWN) == eight


def test_what_fails_or_answers_otherwise_is_never_taken() -> None:
    own = Figures(OWN, alone_ms=10, per_second=100)
    assert best([own, Figures(BF16, alone_ms=1, per_second=900, fault="answers otherwise")], OWN) == own
    broken = Figures(OWN, fault="does not load")
    assert best([broken], OWN) == broken
    assert best([broken, Figures(VINO, 1, 1)], OWN).way == VINO
