# SPDX-License-Identifier: Apache-2.0
"""Reads settings from a command line, the environment and the defaults, and says in a line what is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import CliSettingsSource, SettingsError

from imagier_server.settings import Settings


class WrongSettingsError(ValueError):
    """Invalid settings: one line each, with the flag."""


class WrongUsageError(ValueError):
    """A command line that is not one of settings: an unknown flag, or one without its value."""


def from_arguments(arguments: Sequence[str], command: str) -> Settings:
    """Settings from a command line, the environment and the defaults.

    Raises WrongSettingsError, WrongUsageError. Exits for `--help` (status 0).
    """
    try:
        source: CliSettingsSource[Settings] = CliSettingsSource(
            Settings, cli_parse_args=list(arguments), cli_prog_name=command, cli_exit_on_error=False
        )
        return Settings(_cli_settings_source=source)  # type: ignore[call-arg]
    except ValidationError as error:
        raise WrongSettingsError("\n".join(map(_line, error.errors()))) from error
    except SettingsError as error:
        usage = str(error).removeprefix("error parsing CLI: ")
        raise WrongUsageError(f"{usage} (see `{command} --help`)") from error


def _line(fault: ErrorDetails) -> str:
    """A fault with its flag, unless it is of several settings together, whose text names them."""
    text = fault["msg"].removeprefix("Value error, ")
    return f"--{'-'.join(map(str, fault['loc'])).replace('_', '-')}: {text}" if fault["loc"] else text
