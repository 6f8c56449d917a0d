# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from imagier_server.transport.http.facades.piwigo.version import OutdatedClientError, sends_files_when_pong, version_of
from imagier_server.transport.statuses import http_status


@pytest.mark.parametrize(
    ("told", "version"),
    [("0.0.4beta", (0, 0, 4)), ("0.0.6beta", (0, 0, 6)), ("1.2.3", (1, 2, 3)), (" 15.10.0 ", (15, 10, 0))],
)
def test_versions_that_are_spoken(told: str, version: tuple[int, int, int]) -> None:
    assert version_of({"x-plugin-version": told}) == version


@pytest.mark.parametrize("told", ["0.0.1Alpha", "0.0.3beta"])
def test_older_ones_are_told_to_update_with_426(told: str) -> None:
    with pytest.raises(OutdatedClientError) as refused:
        version_of({"x-plugin-version": told})
    assert http_status(refused.value) == 426
    assert refused.value.retry_after is None


@pytest.mark.parametrize("headers", [{}, {"x-plugin-version": ""}, {"x-plugin-version": "auto"}])
def test_a_caller_that_tells_none_is_taken_for_the_newest(headers: dict[str, str]) -> None:
    assert version_of(headers) > (9999, 9999, 9999)


def test_which_answer_to_ping_makes_the_plugin_send_files() -> None:
    assert sends_files_when_pong((0, 0, 4))
    assert not sends_files_when_pong((0, 0, 6))
