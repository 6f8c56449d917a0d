# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from imagier_server.errors import InvalidRequestError
from imagier_server.transport.http.facades.piwigo.callbacks import allowed, page_of

ORIGINS = ("https://photos.example.org", "http://nas.example:8080")


@pytest.mark.parametrize(
    ("callback", "whether"),
    [
        ("https://photos.example.org/ws.php?format=json&method=pwg.ai.analyze", True),
        ("https://PHOTOS.example.org:443/piwigo/", True),
        ("http://nas.example:8080/", True),
        ("http://photos.example.org/", False),
        ("https://photos.example.org:8443/", False),
        ("https://photos.example.org.evil.example/", False),
        ("http://nas.example/", False),
        ("http://127.0.0.1/", False),
    ],
)
def test_only_origins_of_the_key(callback: str, whether: bool) -> None:
    assert allowed(callback, ORIGINS) is whether
    assert not allowed(callback, ())


@pytest.mark.parametrize(
    "callback",
    ["photos", "ftp://photos.example.org/", "https://u@photos.example.org/", "https://é/", "https://a:b/", "//a"],
)
def test_what_is_no_url_is_said(callback: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        allowed(callback, ORIGINS)
    assert refused.value.field == "callback"


def test_the_page_that_takes_results() -> None:
    page = "https://a.example/piwigo/ws.php?format=json&method=pwg.ai.analyze"
    for callback in (page, "https://a.example/piwigo/", "https://a.example/piwigo", "https://a.example/piwigo/ws.php"):
        assert page_of(callback) == page
    assert page_of("https://a.example/ws.php?x=1#part") == "https://a.example/ws.php?x=1"
