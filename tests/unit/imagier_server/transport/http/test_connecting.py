# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from imagier_server.transport.http.addresses import Allowed
from imagier_server.transport.http.connecting import Connector, UrlRefusedError, target


def test_what_is_asked_for() -> None:
    parts = Connector(Allowed(), plain=False).checked("https://a.example/b/c?d=e#f")
    assert target(parts) == "/b/c?d=e"
    assert target(Connector(Allowed(), plain=True).checked("http://a.example:8080")) == "/"


@pytest.mark.parametrize(
    "url", ["http://a.example/", "https://a.example:22/", "https://u@a.example/", "//a.example/", "https://é.example/"]
)
def test_urls_that_are_refused_without_a_look_up(url: str) -> None:
    with pytest.raises(UrlRefusedError) as refused:
        Connector(Allowed(), plain=False).checked(url)
    assert refused.value.field == "url"
