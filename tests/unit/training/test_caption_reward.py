# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from caption_reward import Rewards

END = 2
A, DOG, CAT, RUNS, IN, WATER, SLEEPS = range(4, 11)
DOGS = [[A, DOG, RUNS, IN, WATER, END], [A, DOG, RUNS, END]]
CATS = [[A, CAT, SLEEPS, END], [CAT, SLEEPS, IN, A, WATER, END]]
PICTURES = [DOGS, CATS]


@pytest.fixture
def rewards() -> Rewards:
    return Rewards(PICTURES)


def test_what_all_references_say_earns_ten() -> None:
    rewards = Rewards([[DOGS[0]] * 5, CATS])
    assert rewards.of(DOGS[0], 0) == pytest.approx(10)


def test_the_right_picture_earns_more_than_another(rewards: Rewards) -> None:
    assert rewards.of(DOGS[0], 0) > rewards.of(CATS[0], 0)
    assert rewards.of(CATS[0], 1) > rewards.of(DOGS[0], 1)


def test_words_that_every_picture_has_earn_nothing(rewards: Rewards) -> None:
    assert rewards.of([A], 0) == 0


def test_a_caption_that_breaks_off_earns_less(rewards: Rewards) -> None:
    assert rewards.of([A, DOG, RUNS, IN, A, END], 0) < rewards.of([A, DOG, RUNS, END], 0)


def test_saying_it_again_earns_less(rewards: Rewards) -> None:
    assert rewards.of([A, DOG, RUNS, DOG, RUNS, DOG, RUNS, END], 0) < rewards.of([A, DOG, RUNS, END], 0)
