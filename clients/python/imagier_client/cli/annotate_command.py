# SPDX-License-Identifier: Apache-2.0
"""How `imagier annotate` is asked: its options, what they must be, and the tasks that they ask for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

import typer

from imagier_client.cli import annotating
from imagier_client.cli.command import (
    Encrypt,
    GivenServer,
    Key,
    Languages,
    TlsCa,
    TlsCertificate,
    TlsKey,
    credentials,
    listed,
    run,
)
from imagier_client.cli.task_options import Given, expect_asked, number_from, with_task_options
from imagier_client.documents.documents import STDOUT, STYLES
from imagier_client.files.paths import STDIN
from imagier_client.retry import RetryPolicy
from imagier_client.tasks.ocr import Ocr
from imagier_client.tasks.registry import tasks
from imagier_client.tasks.task import TaskOptions

DEFAULT_TASKS = ("tags", "ocr")
LONGEST_SECONDS = 1e7
FILES, SERVER = "Files written", "Server"
EPILOG = """Examples:

imagier annotate photos --tasks tags,ocr --languages en,fr

imagier annotate photos --server 127.0.0.1:8500 --format jsonl

imagier annotate scans --format alto --out alto

Exit status: 0 all annotated, 1 some failed, 2 wrong usage, 3 no server, 4 no output, 130 Ctrl-C, 143 terminated."""


def _seconds(value: float | None) -> float | None:
    if value is not None and not 0 <= value < LONGEST_SECONDS:
        raise typer.BadParameter("a number of seconds is needed")
    return value


def _some_seconds(value: float | None) -> float | None:
    if value == 0:
        raise typer.BadParameter("a number of seconds above 0 is needed")
    return _seconds(value)


@with_task_options
def annotate(  # noqa: PLR0913, PLR0917 - an argument for each option
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH", help="A picture, a folder to search for pictures, or - for a picture on stdin."),
    ],
    wanted: Annotated[
        str | None,
        typer.Option(
            "--tasks", metavar="LIST", show_default="tags,ocr; ocr for alto and hocr", help=f"Of {','.join(tasks())}."
        ),
    ] = None,
    languages: Languages = "en",
    style: Annotated[
        Literal["table", "jsonl", "alto", "hocr"],
        typer.Option("--format", help="For people, for programs, or a file of ALTO 4 or hOCR for each picture."),
    ] = "table",
    given: Given = MappingProxyType({}),
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            rich_help_panel=FILES,
            show_default="beside each picture",
            help="The folder for ALTO or hOCR; - writes that of one picture to stdout.",
        ),
    ] = None,
    draw: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", rich_help_panel=FILES, help="Write a copy of each picture with what was read of it."
        ),
    ] = None,
    server: GivenServer = None,
    encrypt: Encrypt = False,
    tls_ca: TlsCa = None,
    tls_certificate: TlsCertificate = None,
    tls_key: TlsKey = None,
    key: Key = None,
    concurrency: Annotated[
        int, typer.Option(callback=number_from(1), metavar="N", rich_help_panel=SERVER, help="Pictures held at once.")
    ] = 8,
    timeout: Annotated[
        float | None,
        typer.Option(
            callback=_some_seconds,
            metavar="SECONDS",
            rich_help_panel=SERVER,
            show_default="the server's limit, half an hour",
            help="For the work on one picture, its wait for a turn not counted.",
        ),
    ] = None,
    patience: Annotated[
        float,
        typer.Option(
            callback=_seconds,
            metavar="SECONDS",
            rich_help_panel=SERVER,
            show_default="300",
            help="How long to wait for a server or an engine that is away; 0 asks once.",
        ),
    ] = RetryPolicy().patience,
) -> int:
    """Annotate pictures. Without --server it starts a server of its own and stops it at the end."""
    documents = style in STYLES
    if paths.count(STDIN) > 1:
        raise typer.BadParameter("- stands for one picture: it may be given once")
    if out is not None and not documents:
        raise typer.BadParameter(f"it goes with --format {' or '.join(STYLES)}", param_hint="'--out'")
    if documents and out is None and paths == [STDIN]:
        out = STDOUT  # there is no folder that it comes from
    options = annotating.Options(
        paths=paths,
        tasks=_asked(_names(wanted, documents=documents), given, words=documents),
        languages=listed(languages),
        style=style,
        out=out,
        draw=draw,
        server=server,
        credentials=credentials(server, encrypt, tls_ca, tls_certificate, tls_key),
        key=key,
        concurrency=concurrency,
        timeout=timeout,
        patience=patience,
    )
    return run(annotating.annotate(options))


def _names(argument: str | None, *, documents: bool) -> tuple[str, ...]:
    """The names of the tasks asked for; documents need `ocr`."""
    if argument is None:
        return ("ocr",) if documents else DEFAULT_TASKS
    wanted = listed(argument)
    if not wanted or not set(wanted) <= set(tasks()):
        raise typer.BadParameter(f"choose from {','.join(tasks())}", param_hint="'--tasks'")
    return (*wanted, "ocr") if documents else wanted


def _asked(names: tuple[str, ...], given: Given, *, words: bool) -> tuple[TaskOptions[Any], ...]:
    """The tasks asked for, each once, with the options given on the command line; documents need the words of `ocr`.

    Raises BadParameter for an option of another task.
    """
    expect_asked(given, names)
    made = {name: tasks()[name].options(**given.get(name, {})) for name in dict.fromkeys(names)}
    if words:
        made[Ocr.task] = replace(made[Ocr.task], words=True)
    return tuple(made.values())
