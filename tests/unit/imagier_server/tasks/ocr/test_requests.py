# SPDX-License-Identifier: Apache-2.0
"""Requests of one picture: in order, a few at a time, and none goes on after a failure."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from imagier_server.errors import EngineUnavailableError
from imagier_server.tasks.ocr.finding import DETECTOR
from imagier_server.tasks.ocr.requests import IN_FLIGHT, infer_all
from support.scripted_ocr import Scripted

pytestmark = pytest.mark.unit


def canvas(side: int) -> np.ndarray:
    return np.zeros((1, side, side, 3), np.uint8)


def test_answers_are_in_the_order_of_the_parts():
    models = Scripted([])
    sides = list(range(10, 10 + 3 * IN_FLIGHT))
    answers = asyncio.run(infer_all(models, DETECTOR, sides, canvas))
    assert [answer["probability"].shape[1] for answer in answers] == sides
    assert models.most_at_once == IN_FLIGHT


def test_the_first_failure_is_told_as_it_is_and_ends_the_others():
    models = Scripted([], broken=DETECTOR)
    with pytest.raises(EngineUnavailableError):
        asyncio.run(infer_all(models, DETECTOR, list(range(1, 50)), canvas))
    assert len(models.asked) < 49
