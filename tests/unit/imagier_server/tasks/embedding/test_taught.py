# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pickle
import struct
import zlib

import numpy as np
import pytest
from imagier_server.errors import InvalidRequestError
from imagier_server.tasks.embedding.taught import Taught, train, unpacked

DIMENSION = 16


def examples(count: int, side: float, seed: int) -> np.ndarray:
    """Vectors of unit length, turned to one side of the first axis."""
    rows = np.random.default_rng(seed).normal(size=(count, DIMENSION))
    rows[:, 0] += side
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def taught(**changed: object) -> Taught:
    weights = np.arange(DIMENSION, dtype=np.float32)
    return Taught(
        **{"label": "Webstuhl", "space": "made", "weights": weights, "bias": 1.0, "slope": 2.0, "intercept": 3.0}
        | changed
    )


def test_what_was_taught_is_told_apart_in_new_pictures() -> None:
    label, accuracy = train("weaving", "made", examples(20, 4, 1), examples(60, -4, 2))
    right = [label.score(vector) for vector in examples(50, 4, 3)]
    wrong = [label.score(vector) for vector in examples(50, -4, 4)]
    assert np.mean(np.array(right) > 0.5) > 0.9
    assert np.mean(np.array(wrong) < 0.5) > 0.9
    assert accuracy > 0.9


def test_examples_that_say_nothing_promise_nothing() -> None:
    label, accuracy = train("chance", "made", examples(100, 0, 1), examples(100, 0, 2))
    assert accuracy == pytest.approx(0.5, abs=0.15)
    assert all(0.2 < label.score(vector) < 0.8 for vector in examples(50, 0, 3))


def test_two_of_each_are_enough_to_begin_with() -> None:
    label, _ = train("few", "made", examples(2, 6, 1), examples(2, -6, 2))
    assert label.score(examples(1, 6, 3)[0]) > label.score(examples(1, -6, 3)[0])


def test_it_travels_as_bytes_and_comes_back_the_same() -> None:
    back = unpacked(taught().packed(), "made", DIMENSION, "f")
    assert (back.label, back.space, back.bias, back.slope, back.intercept) == ("Webstuhl", "made", 1.0, 2.0, 3.0)
    assert (back.weights == taught().weights).all()
    assert len(taught().packed()) < 4 * DIMENSION + 64


def with_check(content: bytes) -> bytes:
    return content + struct.pack("<I", zlib.crc32(content))


WHOLE = taught().packed()


@pytest.mark.parametrize(
    "foreign",
    [
        b"",
        b"IMTL",
        pickle.dumps({"weights": [1.0] * 512}),
        WHOLE[:-1],
        WHOLE + b"x",
        WHOLE[:40] + bytes([WHOLE[40] ^ 1]) + WHOLE[41:],
        with_check(b"IMTL\x02" + WHOLE[5:-4]),
        with_check(WHOLE[:6] + b"\xff\xff" + WHOLE[8:-4]),
        taught(bias=float("nan")).packed(),
        taught(weights=np.full(DIMENSION, np.inf, np.float32)).packed(),
    ],
)
def test_what_is_none_is_refused_and_never_run(foreign: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="no taught label of this version") as caught:
        unpacked(foreign, "made", DIMENSION, "tags.taught[0]")
    assert caught.value.field == "tags.taught[0]"


@pytest.mark.parametrize(("space", "dimension"), [("other", DIMENSION), ("made", DIMENSION + 1)])
def test_a_label_of_another_space_is_refused(space: str, dimension: int) -> None:
    with pytest.raises(InvalidRequestError, match=f"another space than {space}"):
        unpacked(WHOLE, space, dimension, "f")
