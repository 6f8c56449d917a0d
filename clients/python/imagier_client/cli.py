# SPDX-License-Identifier: Apache-2.0
"""The command `imagier`: `annotate` and `keywords` are here, others come in by the entry points "imagier.commands"."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points

from imagier_client import __version__
from imagier_client.annotating import annotate
from imagier_client.matching import keywords

OWN = {"annotate": annotate, "keywords": keywords}
SERVER_HINT = "pip install 'imagier[server,embedded,cpu]'"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status."""
    installed = {entry.name: entry for entry in entry_points(group="imagier.commands")}
    parser = argparse.ArgumentParser(
        prog="imagier",
        description="Reads pictures: tags, captions and the text in them.",
        epilog="`imagier COMMAND --help` tells more.",
    )
    parser.add_argument("--version", action="version", version=f"imagier {__version__}")
    parser.add_argument("command", choices=[*OWN, *sorted(installed)], help="what to do")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="its own arguments")
    options = parser.parse_args(argv)
    if options.command in OWN:
        return OWN[options.command](options.arguments)
    return _run_installed(installed[options.command], options.arguments)


def _run_installed(entry: EntryPoint, arguments: Sequence[str]) -> int:
    try:
        command = entry.load()
    except ImportError as error:
        # The wheel always holds the server's modules; what they need comes with extras.
        print(f"imagier {entry.name}: {error}. It needs more than the client: {SERVER_HINT}", file=sys.stderr)
        return 3
    return int(command(list(arguments)))


if __name__ == "__main__":
    sys.exit(main())
