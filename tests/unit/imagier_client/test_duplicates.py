# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random
from itertools import product
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imagier_client import duplicates
from imagier_client.duplicates import Duplicates, find_duplicates
from imagier_client.errors import InvalidRequestError, UnavailableError
from imagier_client.tasks.fingerprint import FingerprintResult


def fingerprint(value: int, quality: int = 100, *turned: int) -> FingerprintResult:
    return FingerprintResult(
        hash=value.to_bytes(32), quality=quality, rotations=tuple(each.to_bytes(32) for each in turned)
    )


def changed(value: int, bits: int, chance: random.Random) -> int:
    """The value with so many bits flipped."""
    for bit in chance.sample(range(256), bits):
        value ^= 1 << bit
    return value


def by_comparing_all(prints: list[FingerprintResult], distance: int) -> list[list[int]]:
    """Groups, without any of the tricks."""
    group = list(range(len(prints)))
    for one, other in product(range(len(prints)), repeat=2):
        hashes = (prints[one].hash, *prints[one].rotations)
        target = int.from_bytes(prints[other].hash)
        if any((int.from_bytes(each) ^ target).bit_count() <= distance for each in hashes):
            old, new = sorted((group[one], group[other]), reverse=True)
            group = [new if each == old else each for each in group]
    found = [[member for member, each in enumerate(group) if each == first] for first in sorted(set(group))]
    return [members for members in found if len(members) > 1]


def drawn(chance: random.Random, count: int, flips: int) -> list[FingerprintResult]:
    """Random prints, copies of copies among them, some with prints of rotations."""
    values = [chance.getrandbits(256)]
    while len(values) < count:
        near = changed(chance.choice(values), chance.randint(0, flips), chance)
        values.append(near if chance.random() < 0.6 else chance.getrandbits(256))
    turned = [
        [changed(chance.choice(values), 9, chance) for _ in range(7)] if chance.random() < 0.1 else [] for _ in values
    ]
    return [fingerprint(value, 100, *others) for value, others in zip(values, turned, strict=True)]


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32),
    count=st.integers(1, 40),
    distance=st.sampled_from([0, 15, 16, 31, 32, 47, 48, 255]),
    block=st.sampled_from([1, 7, 2**19]),
)
def test_groups_are_those_of_comparing_all_with_all(seed: int, count: int, distance: int, block: int) -> None:
    """Whatever the index leaves out, and however small the blocks are."""
    prints = drawn(random.Random(seed), count, min(2 * distance + 1, 60))
    with mock.patch.object(duplicates, "_BLOCK", block):
        found = find_duplicates(prints, distance)
    assert [list(group.members) for group in found] == by_comparing_all(prints, distance)


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32))
def test_prints_that_share_most_of_their_bits_are_found_all_the_same(seed: int) -> None:
    """Then the index would compare more pairs than there are."""
    chance = random.Random(seed)
    prints = [fingerprint(changed(1, chance.randint(0, 40), chance)) for _ in range(30)]
    assert [list(group.members) for group in find_duplicates(prints)] == by_comparing_all(prints, 31)


def test_distances_are_from_the_first() -> None:
    prints = [fingerprint(0), fingerprint(2**255 - 1), fingerprint(2**20 - 1), fingerprint(2**40 - 1), fingerprint(0)]
    assert find_duplicates(prints) == [Duplicates((0, 2, 3, 4), (0, 20, 40, 0))], "40 by way of 20"
    assert not find_duplicates(prints)[0].exact
    assert find_duplicates(prints, 0) == [Duplicates((0, 4), (0, 0))]
    assert find_duplicates(prints, 0)[0].exact


def test_pictures_with_little_to_see_are_left_out_unless_asked_for() -> None:
    prints = [fingerprint(0, 49), fingerprint(0, 49), fingerprint(1, 50), fingerprint(1, 90)]
    assert [group.members for group in find_duplicates(prints)] == [(2, 3)]
    assert [group.members for group in find_duplicates(prints, min_quality=0)] == [(0, 1, 2, 3)]


def test_a_turned_copy_is_found_by_the_prints_of_either() -> None:
    one, turned = 2**128 - 1, 2**256 - 2**128
    with_rotations, without = fingerprint(one, 100, turned), fingerprint(turned)
    for prints in ([with_rotations, without], [without, with_rotations]):
        assert find_duplicates(prints) == [Duplicates((0, 1), (0, 0))]
    assert find_duplicates([fingerprint(one), without]) == []


def test_what_failed_is_in_no_group() -> None:
    failed = FingerprintResult(error=UnavailableError("down", code="UNAVAILABLE"))
    assert find_duplicates([]) == find_duplicates([failed, failed]) == []
    assert [group.members for group in find_duplicates([failed, fingerprint(1), fingerprint(1)])] == [(1, 2)]


@pytest.mark.parametrize(
    ("prints", "distance", "field"),
    [
        ([fingerprint(1)], 256, "distance"),
        ([fingerprint(1)], -1, "distance"),
        ([FingerprintResult(hash=b"short", quality=90)], 31, "prints"),
    ],
)
def test_mistakes_are_named(prints: list[FingerprintResult], distance: int, field: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        find_duplicates(prints, distance)
    assert raised.value.field == field
