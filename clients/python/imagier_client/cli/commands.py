# SPDX-License-Identifier: Apache-2.0
"""All commands of `imagier`: those on pictures and texts are here, others come in by the entry points "imagier.commands"."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from imagier_client import __version__
from imagier_client.cli import annotate_command, duplicates_command, matching, texts_command
from imagier_client.cli.command import ALL_GOOD, NO_SERVER, USAGE
from imagier_client.cli.receipt import receipt

OWN = ("annotate", "duplicates", "embed-text", "keywords", "receipt")
SERVER_HINT = "pip install 'imagier[server,cpu]'"
PICTURES, SERVER, OTHERS = "Pictures", "Server", "Of other packages"
OF_THE_SERVER = {
    "serve": "Run the server; it listens until it is stopped.",
    "models": "Install, list, verify and copy models.",
    "engine": "Install the embedded Triton.",
    "doctor": "Say what this machine has, and what is wrong.",
    "tune": "Measure how the models run best on this machine.",
    "keys": "Make, list, revoke and rotate API keys.",
    "credits": "Grant credits; show balances and usage.",
}
EXAMPLES = """Examples:

imagier annotate photos --languages en,fr

imagier annotate photos --server 127.0.0.1:8500 --format jsonl

imagier serve --port 8500

`imagier COMMAND --help` says more of each."""


class Commands(TyperGroup):
    """Commands of which those of other packages are loaded when they are run or completed, not when they are listed."""

    installed: Mapping[str, EntryPoint]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Finds a command and its arguments. A plain function gets its arguments as they are, and parses them itself."""
        if (entry := self.installed.get(args[0])) is None:
            return super().resolve_command(ctx, args)
        loaded = entry.load()
        if isinstance(loaded, typer.Typer):
            return entry.name, typer.main.get_command(loaded), args[1:]
        return entry.name, _passing(loaded, args[1:]), []

    def invoke(self, ctx: Any) -> Any:
        """Runs a command. An error without a context, such as the parser's for an option without its value, gets the command's."""
        try:
            return super().invoke(ctx)
        except typer.TyperException as error:
            if getattr(error, "ctx", self) is None:
                error.ctx = typer.Context(self, info_name=ctx.invoked_subcommand, parent=ctx)  # type: ignore[attr-defined]
            raise


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    app = _app()
    try:
        status = app.main(arguments or ["--help"], prog_name="imagier", standalone_mode=False)
    except typer.TyperException as error:  # wrong usage
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "imagier"
        said = error.format_message().replace("Value error, ", "")  # pydantic's, of a choice that is none
        sys.stderr.write(f"{command}: {said} (see `{command} --help`)\n")
        return USAGE
    except ModuleNotFoundError as error:
        # The wheel always holds the server's modules; what they need comes with extras.
        sys.stderr.write(f"imagier: {error.name} is not installed. Commands of the server need: {SERVER_HINT}\n")
        return NO_SERVER
    return (status or ALL_GOOD) if arguments else USAGE


def _app() -> Any:
    """The command with all of its commands, those of other packages by name only."""
    found = entry_points(group="imagier.commands")
    installed = {entry.name: entry for entry in found if entry.name not in OWN}
    commands = type("InstalledCommands", (Commands,), {"installed": installed})
    app = typer.Typer(cls=commands, context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXAMPLES)
    app.callback()(_imagier)
    for command, line, epilog in (
        (annotate_command.annotate, "Annotate pictures, and folders of pictures.", annotate_command.EPILOG),
        (
            duplicates_command.duplicates,
            "Say which pictures are copies of one another.",
            duplicates_command.EPILOG,
        ),
        (matching.keywords, "Say which tags the keywords of a library mean.", matching.EPILOG),
        (texts_command.embed_text, "Write the vectors of texts.", texts_command.EPILOG),
    ):
        app.command(rich_help_panel=PICTURES, short_help=line, epilog=epilog)(command)
    app.add_typer(receipt, name="receipt", rich_help_panel=PICTURES)
    for name in sorted(installed, key=[*OF_THE_SERVER, *sorted(installed)].index):
        ours = name in OF_THE_SERVER
        said = OF_THE_SERVER[name] if ours else f"Of the package {_package(installed[name])}."
        app.command(name, help=said, rich_help_panel=SERVER if ours else OTHERS)(lambda: None)
    return typer.main.get_command(app)


def _show_version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"imagier {__version__}\n")
        raise typer.Exit


def _imagier(
    _version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """Read pictures: tags, captions and the text in them."""


def _passing(function: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> Any:
    app = typer.Typer(add_completion=False)
    app.command(add_help_option=False)(lambda: int(function(arguments)))
    return typer.main.get_command(app)


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else "that brings it"
