# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imagier_server.transport.http.dialect.languages import preferred


@pytest.mark.parametrize(
    ("header", "languages"),
    [
        ("", ()),
        ("*", ()),
        ("fr", ("fr",)),
        ("fr-CH, fr;q=0.9, en;q=0.8, de;q=0.7, *;q=0.5", ("fr", "en", "de")),
        ("en;q=0.2, zh-Hant-TW", ("zh", "en")),
        ("en;q=0, fr", ("fr",)),
        ("fr;q=much, 7, x-, <b>", ("fr", "x")),
        (",".join(f"{a}{b}" for a in "abcd" for b in "abcd"), ("aa", "ab", "ac", "ad", "ba", "bb", "bc", "bd")),
    ],
)
def test_the_best_comes_first(header: str, languages: tuple[str, ...]) -> None:
    assert preferred(header) == languages


@given(st.text(alphabet="frEN-;q=0.9,* \x00é", max_size=3000))
def test_whatever_it_says_gives_a_few_plain_names(header: str) -> None:
    assert all(name.isascii() and name.isalpha() for name in preferred(header))
    assert len(preferred(header)) <= 8
