# SPDX-License-Identifier: Apache-2.0
"""`imagier tune`: measures how each model runs best on this machine's CPUs, and writes it as an overlay of the repository."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

DONE, FAILED = 0, 1

command = typer.Typer(add_completion=False)


@command.command(
    epilog="""Let nothing else run meanwhile. Examples:

imagier tune

imagier tune tagger text_detector --seconds 1

Exit status: 0 measured and written, 1 not."""
)
def tune(
    models: Annotated[
        list[str] | None, typer.Argument(metavar="MODEL", help="Only these. The rest stays as it is.")
    ] = None,
    repository: Annotated[Path, typer.Option(metavar="DIR", help="The model repository.")] = Path("model_repository"),
    overlay: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="The folder to write. Default: the repository's name with .overlay, where `imagier serve` looks.",
        ),
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=0.1, help="Time for each measurement; shorter is rougher.", show_default=True)
    ] = 3.0,
) -> int:
    """Measure each model on the embedded Triton, and write what runs best: engine, precision, instances and threads.

    The requests are those of three example pictures. Two measurements and a start of Triton for each of three to eight ways,
    some three minutes on two cores.
    """
    from imagier_server.embedded import EmbeddedError  # noqa: PLC0415 - heavy for a mere --help
    from imagier_server.errors import ImagierError  # noqa: PLC0415
    from imagier_server.model_lock import ModelLockError  # noqa: PLC0415
    from imagier_server.overlay import beside  # noqa: PLC0415
    from imagier_server.tuning.run import TuneError, report, run, write  # noqa: PLC0415

    folder = overlay or beside(repository)
    try:
        results = asyncio.run(run(repository, models or (), seconds, _say))
        write(folder, repository, results, seconds)
    except (EmbeddedError, ImagierError, ModelLockError, TuneError, OSError, ValueError) as error:
        _say(f"imagier tune: {error or type(error).__name__}")
        return FAILED
    sys.stdout.write(f"{report(results)}\n\nWritten to {folder}.\n")
    return DONE


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
