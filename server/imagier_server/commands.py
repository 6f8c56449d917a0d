# SPDX-License-Identifier: Apache-2.0
"""`imagier serve` and `imagier models`: found by the client's command through entry points."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from pydantic import ValidationError
from pydantic_settings import CliSettingsSource, SettingsError

from imagier_server import app, logs
from imagier_server.embedded import EmbeddedError
from imagier_server.model_lock import ModelLockError
from imagier_server.settings import Settings

OK, FAILED, USAGE = 0, 1, 2


def serve(argv: Sequence[str]) -> int:
    """Runs the server until it is stopped. Exit code 0, 1 if it could not start or lost its engine, 2 for a wrong setting."""
    try:
        settings = Settings(_cli_settings_source=CliSettingsSource(Settings, cli_parse_args=list(argv)))  # type: ignore[call-arg]
    except (ValidationError, SettingsError) as error:
        print(f"imagier serve: {error}", file=sys.stderr)
        return USAGE
    logs.set_up(settings.log_level)
    try:
        asyncio.run(app.serve(settings))
    except (ModelLockError, EmbeddedError, OSError) as error:
        print(f"imagier serve: {error}", file=sys.stderr)
        return FAILED
    return OK
