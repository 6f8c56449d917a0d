# SPDX-License-Identifier: Apache-2.0
"""Which façades a setting turns on."""

from __future__ import annotations

import pytest
from imagier_server.settings import Settings
from imagier_server.transport.http.facades import registry
from imagier_server.transport.http.facades.facade import Facade
from imagier_server.transport.http.problems import refuse

ONE, OTHER = Facade("one", (), refuse), Facade("other", (), refuse)


def test_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "BUILT_IN", (ONE, OTHER))
    assert registry.enabled("all") == (ONE, OTHER)
    assert registry.enabled("") == ()
    assert registry.enabled(" other ,") == (OTHER,)
    with pytest.raises(registry.UnknownFacadeError, match="one, other"):
        registry.enabled("one,third")


def test_every_name_is_there_once() -> None:
    names = [facade.name for facade in registry.BUILT_IN]
    assert len(names) == len(set(names))


def test_what_is_on_unless_the_setting_says_otherwise() -> None:
    names = [facade.name for facade in registry.enabled(Settings().http_facades)]
    assert names == ["openai", "ollama", "photoprism"]
