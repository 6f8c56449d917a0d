# SPDX-License-Identifier: Apache-2.0
"""The least loaded of those that have the model; equals take turns."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st
from imagier_server.engines.balancer import Balancer

MODELS = ("tagger", "other")


@dataclass(eq=False)
class Engine:
    in_flight: int = 0
    ready: dict[str, bool] = field(default_factory=lambda: dict.fromkeys(MODELS, True))
    ejected: frozenset[str] = frozenset()


def balancing(*engines: Engine) -> Balancer[Engine]:
    balancer = Balancer[Engine](MODELS)
    balancer.update(engines)
    return balancer


ENGINES = st.lists(
    st.builds(
        Engine,
        st.integers(0, 5),
        st.fixed_dictionaries({model: st.booleans() for model in MODELS}),
        st.frozensets(st.sampled_from(MODELS)),
    ),
    max_size=8,
)


@given(ENGINES, st.sampled_from(MODELS), st.integers(0, 8), st.data())
def test_the_least_loaded_of_those_that_can(engines: list[Engine], model: str, turns: int, data: st.DataObject) -> None:
    balancer = balancing(*engines)
    for _ in range(turns):
        balancer.choose(model)
    but = data.draw(st.sampled_from([None, *engines]))
    ready = [engine for engine in engines if engine.ready[model]]
    able = [engine for engine in ready if model not in engine.ejected] or ready
    able = [engine for engine in able if engine is not but]
    chosen = balancer.choose(model, but)
    assert balancer.has(model) == any(engine.ready[model] for engine in engines)
    if not able:
        assert chosen is None
    else:
        assert chosen in able
        assert chosen.in_flight == min(engine.in_flight for engine in able)


@given(st.integers(1, 6), st.integers(1, 60))
def test_equals_take_turns(count: int, requests: int) -> None:
    engines = [Engine() for _ in range(count)]
    balancer = balancing(*engines)
    taken = Counter(id(balancer.choose("tagger")) for _ in range(requests))
    assert max(taken.values()) - min(taken[id(engine)] for engine in engines) <= 1


@given(st.integers(1, 6), st.lists(st.booleans(), max_size=200), st.randoms(use_true_random=False))
def test_the_load_stays_level_however_long_each_takes(count: int, steps: list[bool], random) -> None:
    engines = [Engine() for _ in range(count)]
    balancer, running = balancing(*engines), []
    for begins in steps:
        if begins or not running:
            before = [engine.in_flight for engine in engines]
            chosen = balancer.choose("tagger")
            assert chosen.in_flight == min(before)
            chosen.in_flight += 1
            running.append(chosen)
        else:
            running.pop(random.randrange(len(running))).in_flight -= 1
    assert sum(engine.in_flight for engine in engines) == len(running)


def test_one_that_comes_takes_what_is_new_until_it_is_level() -> None:
    old, new = Engine(3), Engine(0)
    balancer = balancing(old)
    balancer.update([old, new])
    for _ in range(3):
        assert balancer.choose("tagger") is new
        new.in_flight += 1


def test_one_that_goes_is_not_chosen() -> None:
    first, second = Engine(), Engine(9)
    balancer = balancing(first, second)
    balancer.update([second])
    assert balancer.choose("tagger") is second
    balancer.update([])
    assert balancer.choose("tagger") is None
