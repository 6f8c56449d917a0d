# SPDX-License-Identifier: Apache-2.0
"""`imagier serve` and `imagier models`: found by the client's command through entry points."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError
from pydantic_settings import CliSettingsSource, SettingsError

from imagier_server import app, logs, model_lock
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
    except (ModelLockError, EmbeddedError, OSError, ImportError) as error:
        print(f"imagier serve: {error}", file=sys.stderr)
        return FAILED
    return OK


def models(argv: Sequence[str]) -> int:
    """`imagier models install [ROLE[=BRAND|FOLDER] …]`, `list`, `verify DIR`, `copy FROM TO`. Exit code 0, or 1 with the reason."""
    parser = argparse.ArgumentParser(prog="imagier models", description="Fills and inspects a Triton model repository.")
    actions = parser.add_subparsers(dest="action", required=True)
    install = actions.add_parser(
        "install", help="install what is missing or stale; verified against its source, put in place atomically"
    )
    install.add_argument(
        "wanted",
        nargs="*",
        metavar="ROLE[=BRAND|FOLDER]",
        help="only these: tagger, captioner=blip-base, captioner=/path/to/checkpoint; `list` names the brands",
    )
    install.add_argument(
        "--accept", choices=["research-only"], help="also models whose terms allow research and private use only"
    )
    listing = actions.add_parser("list", help="every model: its state, licence and source")
    for action in (install, listing):
        action.add_argument("--repository", type=Path, default=Path("model_repository"), help="default: %(default)s")
    verify = actions.add_parser("verify", help="compares every byte with models.lock")
    verify.add_argument("repository", type=Path, metavar="DIR")
    copy = actions.add_parser("copy", help="copies what is installed and verifies the copy; for containers")
    copy.add_argument("source", type=Path, metavar="FROM")
    copy.add_argument("target", type=Path, metavar="TO")
    arguments = parser.parse_args(argv)

    if arguments.action in {"verify", "copy"}:
        try:
            if arguments.action == "verify":
                model_lock.require_intact(arguments.repository)
            else:
                model_lock.copy_repository(arguments.source, arguments.target)
        except (ModelLockError, OSError) as error:
            print(f"imagier models: {error}", file=sys.stderr)
            return FAILED
        return OK

    # The exporter is no part of the server: only these two know it.
    from imagier_server import export as exporter  # noqa: PLC0415

    try:
        if arguments.action == "install":
            accepted = arguments.accept == "research-only"
            exporter.install_models(arguments.repository, arguments.wanted, accepted, print)
            return OK
        for role, standing in exporter.status(arguments.repository).items():
            row = standing.row
            terms = f", weights {row.weights_licence}, {row.source.url}" if row else ", a checkpoint of one's own"
            research_only = " (research only)" if row and row.research_only else ""
            print(f"{role:20} {standing.state:8} {standing.brand} {standing.version}{terms}{research_only}")
        for brand, row in exporter.ALTERNATIVES.items():
            print(f"{row.role}={brand}: weights {row.weights_licence}, {row.quality}, {row.source.url}")
    except exporter.ExportError as error:
        print(f"imagier models: {error}", file=sys.stderr)
        return FAILED
    return OK
