# SPDX-License-Identifier: Apache-2.0
"""Keywords are admitted and recorded as pictures are."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from imagier_server.errors import DrainingError, InvalidRequestError, OverloadedError
from imagier_server.messages import KeywordsRequest
from imagier_server.tasks.tags.values import KeywordMatch, KeywordMatches
from support.calls import call
from support.scripted_pipeline import Bench


@pytest.fixture
def bench() -> Iterator[Bench]:
    with ThreadPoolExecutor(2) as threads:
        yield Bench(threads)


async def test_keywords_are_matched_in_a_place_of_their_own(bench: Bench) -> None:
    matches = await bench.keywords.match(KeywordsRequest(("dog",), ("tlh",), ()), call())
    assert matches == KeywordMatches((KeywordMatch("dog", ()),), ("tlh",))
    assert bench.value("imagier_in_flight_pictures") == 0


async def test_keywords_are_refused_at_the_door(bench: Bench) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        await bench.keywords.match(KeywordsRequest(("bad",), (), ()), call())
    assert refused.value.field == "keywords"
    with pytest.raises(InvalidRequestError) as refused:
        await bench.keywords.match(KeywordsRequest(("dog",), ("en",) * 17, ()), call())
    assert refused.value.field == "languages"
    with pytest.raises(InvalidRequestError) as refused:
        await bench.keywords.match(KeywordsRequest(("dog",), (), ("en",) * 17), call())
    assert refused.value.field == "keyword_languages"
    places = [bench.limits.enter(1) for _ in range(bench.room)]
    with pytest.raises(OverloadedError):
        await bench.keywords.match(KeywordsRequest(("dog",), (), ()), call())
    for place in places:
        place.leave()
    bench.draining.begin()
    with pytest.raises(DrainingError):
        await bench.keywords.match(KeywordsRequest(("dog",), (), ()), call())
