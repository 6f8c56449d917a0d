# SPDX-License-Identifier: Apache-2.0
"""`imagier serve`, `imagier models` and `imagier engine`: found by the client's command through entry points.

Each imports what it needs when it is run, so that help and completion are quick.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

OK, FAILED, USAGE = 0, 1, 2

Repository = Annotated[Path, typer.Option(metavar="DIR", help="The model repository.")]
HERE = Path("model_repository")


def serve(argv: Sequence[str]) -> int:
    """Run the server. Exit code 0, 1 if it could not start or lost its engine, 2 for a wrong setting."""
    from imagier_server.command_line import WrongSettingsError, WrongUsageError, from_arguments
    from imagier_server.settings import UnusableFileError

    try:
        settings = from_arguments(argv, "imagier serve")
    except (WrongSettingsError, WrongUsageError) as error:
        for line in str(error).splitlines():
            _say("serve", line)
        return USAGE
    from imagier_server import app, logs, native_log, rights
    from imagier_server.embedded import EmbeddedError
    from imagier_server.model_lock import ModelLockError

    native_log.collect()
    logs.set_up(settings.log_level)
    rights.forbid_core_dumps()
    rights.forbid_new_privileges()
    try:
        asyncio.run(app.serve(settings))
    except (ModelLockError, EmbeddedError, UnusableFileError, OSError, ImportError) as error:
        return _failed("serve", error)
    return OK


engine = typer.Typer(add_completion=False, help="Install the embedded Triton.")


@engine.callback()
def _engine() -> None:
    """Keeps `install` a word of its own: there is one action only."""


@engine.command("install", epilog="Exit status: 0 installed, 1 not.")
def install_engine() -> int:
    """Install NVIDIA's Triton, out of the wheel nvidia-pytriton: 55 MB from PyPI, 150 MB on disk."""
    from imagier_server.embedded.install import install
    from imagier_server.embedded.wheel import TRITON_VERSION, EmbeddedError

    try:
        found = install()
    except EmbeddedError as error:
        return _failed("engine", error)
    print(f"Triton {TRITON_VERSION}: {found.server}")
    return OK


models = typer.Typer(
    add_completion=False,
    help="Install, list, verify and copy the models of a Triton model repository.",
    epilog="""Examples:

imagier models install

imagier models install captioner=blip-base --accept research-only

imagier models list""",
)


@models.command("install", epilog="Exit status: 0 installed, 1 not.")
def install_models(
    wanted: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODEL",
            help="Only these: tagger, captioner=blip-base (a brand: see `list`), captioner=/path/to/checkpoint, "
            "ViT-B-32__openai (networks for vectors), /path/to/checkpoint --as NAME.",
        ),
    ] = None,
    accept: Annotated[
        Literal["research-only"] | None,
        typer.Option(help="Also models whose terms allow research and private use only."),
    ] = None,
    repository: Repository = HERE,
    name: Annotated[
        str, typer.Option("--as", metavar="NAME", help="What the networks for vectors in a folder are called.")
    ] = "",
) -> int:
    """Install what is missing or stale: verified against its source, put in place atomically."""
    # The exporter is no part of the server: only this and `list` know it.
    from imagier_server import export as exporter

    try:
        exporter.install_models(repository, wanted or (), accept is not None, print, name)
    except exporter.ExportError as error:
        return _failed("models", error)
    return OK


@models.command("list")
def list_models(repository: Repository = HERE) -> int:
    """List every model: its state, licence and source."""
    from imagier_server import export as exporter

    try:
        standings = exporter.status(repository)
    except exporter.ExportError as error:
        return _failed("models", error)
    for role, standing in standings.items():
        row = standing.row
        terms = f", weights {row.weights_licence}, {row.source.url}" if row else ", a checkpoint of one's own"
        research_only = " (research only)" if row and row.research_only else ""
        print(f"{role:20} {standing.state:8} {standing.brand} {standing.version}{terms}{research_only}")
    for role, row in exporter.BY_NAME.items():
        if role not in standings:
            print(
                f"{role}: {row.brand} {row.version}, installed by its name only: weights {row.weights_licence}, {row.source.url}"
            )
    for brand, row in exporter.ALTERNATIVES.items():
        print(f"{row.role}={brand}: weights {row.weights_licence}, {row.quality}, {row.source.url}")
    for name, space in exporter.SPACES.items():
        print(
            f"{name}: for vectors, weights {space.licence}, {exporter.DIMENSIONS.get(name, 'own')} dimensions, {space.image.url}"
        )
    return OK


@models.command("verify", epilog="Exit status: 0 intact, 1 not.")
def verify_models(repository: Annotated[Path, typer.Argument(metavar="DIR", help="The model repository.")]) -> int:
    """Compare every byte with models.lock."""
    from imagier_server import model_lock

    try:
        model_lock.require_intact(repository)
    except (model_lock.ModelLockError, OSError) as error:
        return _failed("models", error)
    return OK


@models.command("copy", epilog="Exit status: 0 copied, 1 not.")
def copy_models(
    source: Annotated[Path, typer.Argument(metavar="FROM", help="The model repository.")],
    target: Annotated[Path, typer.Argument(metavar="TO", help="A folder; it is made if need be.")],
) -> int:
    """Copy what is installed and verify the copy; for containers."""
    from imagier_server import model_lock

    try:
        model_lock.copy_repository(source, target)
    except (model_lock.ModelLockError, OSError) as error:
        return _failed("models", error)
    return OK


def _failed(command: str, error: Exception) -> int:
    _say(command, str(error))
    return FAILED


def _say(command: str, text: str) -> None:
    print(f"imagier {command}: {text}", file=sys.stderr)
