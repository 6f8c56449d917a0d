# SPDX-License-Identifier: Apache-2.0
"""A knob is declared once: with help, a default that may be used as it is, an environment name and a flag."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest
from imagier_server.settings import Settings, usable_cores
from pydantic import ValidationError
from pydantic_settings import CliSettingsSource


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in filter(lambda name: name.startswith("IMAGIER_"), tuple(os.environ)):
        monkeypatch.delenv(name)


def from_flags(*flags: str) -> Settings:
    arguments: Sequence[str] = list(flags)
    return Settings(_cli_settings_source=CliSettingsSource(Settings, cli_parse_args=arguments))


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_says_what_it_is(name: str) -> None:
    assert Settings.model_fields[name].description


def test_nothing_needs_to_be_set() -> None:
    settings = from_flags()
    assert (settings.host, settings.port, settings.engine) == ("127.0.0.1", 8500, "embedded")
    assert settings.decoders == usable_cores() >= 1


def test_a_flag_wins_over_the_environment_and_that_over_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGIER_IN_FLIGHT", "7")
    monkeypatch.setenv("IMAGIER_DECODERS", "2")
    settings = from_flags("--in-flight", "9")
    assert (settings.in_flight, settings.decoders, settings.port) == (9, 2, 8500)


@pytest.mark.parametrize(
    "flags", [("--port", "65536"), ("--decoders", "0"), ("--log-level", "loud"), ("--drain-seconds", "-1")]
)
def test_what_is_out_of_range_is_refused(flags: tuple[str, str]) -> None:
    with pytest.raises(ValidationError):
        from_flags(*flags)


def test_a_flag_that_nobody_knows_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        from_flags("--no-such-flag", "1")
    assert "no-such-flag" in capsys.readouterr().err


def test_they_stay_as_they_are() -> None:
    with pytest.raises(ValidationError):
        from_flags().port = 1
