# SPDX-License-Identifier: Apache-2.0
"""Ids of requests, and what an answer brings back of them."""

from __future__ import annotations

import numpy as np
import pytest
from imagier_server import request_ids
from imagier_server.embedded import process

MODEL = (process.BACKEND / "model.py").read_text("utf-8")


def numbers(*ids: int) -> bytes:
    return np.array(ids, np.uint64).tobytes()


def test_ids_differ_and_fit_the_output() -> None:
    ids = {request_ids.new() for _ in range(100)}
    assert len(ids) == 100
    assert all(request_ids.returned([(request_ids.OUTPUT, numbers(int(each)))]) == each for each in ids)


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        ([("scores", b"12345678"), (request_ids.OUTPUT, numbers(7))], "7"),
        ([(request_ids.OUTPUT, numbers(2**64 - 1, 2**64 - 1))], str(2**64 - 1)),
        ([(request_ids.OUTPUT, numbers(7, 8))], None),
        ([(request_ids.OUTPUT, b"1234567")], None),
        ([(request_ids.OUTPUT, b"")], None),
        ([("scores", numbers(7))], None),
        ([], None),
    ],
)
def test_an_answer_brings_back_one_id_or_none(outputs: list[tuple[str, bytes]], expected: str | None) -> None:
    assert request_ids.returned(outputs) == expected


def test_the_backend_calls_the_output_by_the_same_name() -> None:
    assert f'REQUEST_ID = "{request_ids.OUTPUT}"' in MODEL
    assert f'"{request_ids.OUTPUT}"' in request_ids.CONFIG
