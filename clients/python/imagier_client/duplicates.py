# SPDX-License-Identifier: Apache-2.0
"""Groups of pictures whose fingerprints are equal or nearly so. Needs numpy (`pip install 'imagier[duplicates]'`).

Search: multi-index hashing (Norouzi, Punjani, Fleet: Fast Search in Hamming Space with Multi-Index Hashing, CVPR 2012).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from imagier_client.errors import InvalidRequestError
from imagier_client.tasks.fingerprint import FingerprintResult

DISTANCE: Final = 31
"""Bits of 256 in which two copies may differ, as PDQ's authors say."""
MIN_QUALITY: Final = 50
_BITS, _BYTES = 256, 32
_PARTS, _PART_BITS = 16, 16
_BLOCK = 2**19
"""Pairs that are compared at once: some 50 MB."""
_MOST_FLIPS = 2

Integers = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]
Pairs = Iterator[tuple[Integers, Integers]]


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Pictures that are copies of one another: `members` are their places in the list, ascending.

    `distances`: the bits in which each differs from the first member, 0 to 256. Members are linked step by step, so that one may be
    further from the first than the distance that was asked for.
    """

    members: tuple[int, ...]
    distances: tuple[int, ...]

    @property
    def exact(self) -> bool:
        """Whether all have the same fingerprint, perhaps turned."""
        return not any(self.distances)


def find_duplicates(
    prints: Sequence[FingerprintResult], distance: int = DISTANCE, min_quality: int = MIN_QUALITY
) -> list[Duplicates]:
    """Group fingerprints that differ in at most `distance` bits (0 to 255), in the order of their first members.

    Those with less quality than `min_quality` belong to no group, nor do results of failed tasks. Prints with `rotations` find
    copies that were turned or mirrored, too. Memory grows with the number of prints only. Raises `InvalidRequestError`.
    """
    if not 0 <= distance < _BITS:
        raise InvalidRequestError(f"distance must be from 0 to {_BITS - 1}", field="distance")
    places = [place for place, each in enumerate(prints) if each.ok and each.hash and each.quality >= min_quality]
    if not places:
        return []
    own = _words([prints[place].hash for place in places])
    asking, owners = _with_rotations(prints, places, own)
    groups = _Groups(len(places))
    for some, others in _candidates(asking, own, distance):
        near = _distances(asking[some], own[others]) <= distance
        groups.join(owners[some[near]], others[near])
    return [_group(prints, [places[member] for member in members]) for members in groups.several()]


def _with_rotations(prints: Sequence[FingerprintResult], places: Sequence[int], own: Words) -> tuple[Words, Integers]:
    """All hashes to look for, those of rotations included, and whose they are."""
    turned = [(owner, each) for owner, place in enumerate(places) for each in prints[place].rotations]
    owners = np.arange(len(places))
    if not turned:
        return own, owners
    further = np.array([owner for owner, _ in turned])
    return np.concatenate([own, _words([each for _, each in turned])]), np.concatenate([owners, further])


def _words(hashes: Sequence[bytes]) -> Words:
    """(N, 4)."""
    if any(len(each) != _BYTES for each in hashes):
        raise InvalidRequestError(f"a fingerprint has {_BYTES} bytes", field="prints")
    return np.frombuffer(b"".join(hashes), np.uint64).reshape(-1, _BYTES // 8)


def _distances(some: Words, others: Words) -> npt.NDArray[np.integer[Any]]:
    return np.asarray(np.bitwise_count(some ^ others).sum(axis=1, dtype=np.int64))


def _candidates(asking: Words, own: Words, distance: int) -> Pairs:
    """Pairs (row of `asking`, row of `own`) in blocks, all that are within the distance among them.

    Of 16 parts of two such hashes at least one differs in at most a sixteenth of the distance: only hashes with such a part in
    common are compared. If that would be more pairs than there are, because a part is the same in most hashes, all are compared.
    """
    flips = distance // _PARTS
    if flips <= _MOST_FLIPS:
        masks = [sum(1 << bit for bit in bits) for n in range(flips + 1) for bits in combinations(range(_PART_BITS), n)]
        parts = own.view(np.uint16), asking.view(np.uint16)
        indexes = [_Index(mine) for mine in parts[0].T]
        keys = [
            (index, mine ^ np.uint16(mask)) for index, mine in zip(indexes, parts[1].T, strict=True) for mask in masks
        ]
        if sum(int(index.counts(key).sum()) for index, key in keys) < len(asking) * len(own):
            for index, key in keys:
                yield from index.pairs(key)
            return
    rows = max(1, _BLOCK // len(own))
    for begin in range(0, len(asking), rows):
        some = np.arange(begin, min(begin + rows, len(asking)))
        yield some.repeat(len(own)), np.tile(np.arange(len(own)), len(some))


class _Index:
    """One part of each hash, 16 bits, and which hashes have it."""

    def __init__(self, part: npt.NDArray[np.uint16]) -> None:
        self._order = part.argsort(kind="stable")
        self._starts = np.concatenate([[0], np.bincount(part, minlength=2**_PART_BITS).cumsum()])

    def counts(self, keys: npt.NDArray[np.uint16]) -> Integers:
        """How many hashes have each key."""
        places = keys.astype(np.int64)
        return np.asarray(self._starts[places + 1] - self._starts[places])

    def pairs(self, keys: npt.NDArray[np.uint16]) -> Pairs:
        """(place of the key, hash that has it) in blocks."""
        counts = self.counts(keys)
        ends = counts.cumsum()
        begin, done = 0, 0
        while begin < len(keys):
            end = max(begin + 1, int(np.searchsorted(ends, done + _BLOCK, "right")))
            asked = np.arange(begin, end).repeat(counts[begin:end])
            within = np.arange(len(asked)) - (ends[begin:end] - counts[begin:end] - done).repeat(counts[begin:end])
            yield asked, self._order[self._starts[keys[asked].astype(np.int64)] + within]
            begin, done = end, int(ends[end - 1])


class _Groups:
    """A union of sets: `_first` is the smallest member of each one's group."""

    def __init__(self, size: int) -> None:
        self._first = np.arange(size)

    def join(self, some: Integers, others: Integers) -> None:
        """Unite the groups of each pair."""
        while True:
            one, other = self._first[some], self._first[others]
            apart = one != other
            if not apart.any():
                return
            some, others = some[apart], others[apart]
            low, high = np.minimum(one, other)[apart], np.maximum(one, other)[apart]
            np.minimum.at(self._first, high, low)
            while not np.array_equal(shorter := self._first[self._first], self._first):
                self._first = shorter

    def several(self) -> Iterator[list[int]]:
        """The groups of more than one, each in ascending order."""
        order = self._first.argsort(kind="stable")
        edges = np.flatnonzero(np.diff(self._first[order])) + 1
        for members in np.split(order, edges):
            if len(members) > 1:
                yield members.tolist()


def _group(prints: Sequence[FingerprintResult], members: Sequence[int]) -> Duplicates:
    first, *others = (prints[member] for member in members)
    return Duplicates(tuple(members), (0, *(min(_apart(first, each), _apart(each, first)) for each in others)))


def _apart(turned: FingerprintResult, other: FingerprintResult) -> int:
    target = int.from_bytes(other.hash)
    return min((int.from_bytes(each) ^ target).bit_count() for each in (turned.hash, *turned.rotations))
