# SPDX-License-Identifier: Apache-2.0
"""When a model is ejected on one engine, for how long, and what brings it back."""

from __future__ import annotations

import pytest
from imagier_server.engines import outlier_detection
from imagier_server.engines.outlier_detection import OutlierDetection, ejection_seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    time = [1000.0]
    monkeypatch.setattr(outlier_detection, "_now", lambda: time[0])
    return time


@pytest.fixture
def outliers(clock: list[float]) -> OutlierDetection:
    return OutlierDetection()


def test_a_few_errors_eject_nothing(outliers: OutlierDetection) -> None:
    for _ in range(4):
        assert not outliers.erred("tagger", sound_elsewhere=True)
    assert not outliers.answered("tagger")
    for _ in range(4):
        assert not outliers.erred("tagger", sound_elsewhere=True)
    assert not outliers.ejected | outliers.suspected | outliers.failed


def test_many_in_a_row_do_where_another_engine_answers(outliers: OutlierDetection) -> None:
    for _ in range(20):
        assert not outliers.erred("tagger", sound_elsewhere=False)
    assert outliers.erred("tagger", sound_elsewhere=True)
    assert outliers.ejected == outliers.suspected == {"tagger"}
    assert not outliers.failed


def test_a_single_good_answer_ends_a_suspicion(outliers: OutlierDetection, clock: list[float]) -> None:
    for _ in range(5):
        outliers.erred("tagger", sound_elsewhere=True)
    clock[0] += 1
    assert not outliers.ejected
    assert outliers.suspected
    assert outliers.answered("tagger")
    assert not outliers.suspected
    assert outliers.proven == {"tagger"}


def test_one_word_of_the_engine_ejects_at_once(outliers: OutlierDetection, clock: list[float]) -> None:
    assert outliers.failed_itself("tagger")
    assert outliers.ejected == outliers.suspected == outliers.failed == {"tagger"}
    assert not outliers.failed_itself("tagger"), "it is out already"


def test_such_a_one_has_to_prove_itself(outliers: OutlierDetection, clock: list[float]) -> None:
    seconds = []
    for _ in range(5):
        assert outliers.failed_itself("tagger")
        seconds.append(round(outliers._faults["tagger"].ejected_until - clock[0], 3))
        clock[0] += seconds[-1]
        assert not outliers.ejected
        for _ in range(9):  # a dead process beside a sound one answers every other time
            assert not outliers.answered("tagger")
            assert outliers.failed
    assert seconds == [0.5, 1.0, 2.0, 4.0, 4.0]
    assert outliers.failed_itself("tagger")
    clock[0] += 4
    assert [outliers.answered("tagger") for _ in range(10)] == [False] * 9 + [True]
    assert not outliers.failed | outliers.suspected


def test_another_process_begins_anew(outliers: OutlierDetection) -> None:
    outliers.failed_itself("tagger")
    outliers.answered("captioner")
    outliers.clear()
    assert not outliers.ejected | outliers.failed | outliers.proven


def test_the_time_is_bounded() -> None:
    assert ejection_seconds(-1) == 0.25
    assert ejection_seconds(5000) == 4.0
