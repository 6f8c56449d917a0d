# SPDX-License-Identifier: Apache-2.0
"""`imagier annotate`: finds the pictures, sends them on one stream, prints each answer in its turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc

from imagier_client.aio import AsyncClient
from imagier_client.cli.command import ALL_GOOD, NO_SERVER, SOME_FAILED, USAGE, server
from imagier_client.cli.local_server import ServerStartError
from imagier_client.cli.printing import Printer, failures
from imagier_client.cli.source import Outcome, Source
from imagier_client.cli.tally import Tally
from imagier_client.documents.documents import STDOUT, STYLES, Documents
from imagier_client.drawing import DrawingError
from imagier_client.errors import ImagierClientError
from imagier_client.files.paths import STDIN, find_pictures
from imagier_client.messages import Annotation
from imagier_client.retry import RetryPolicy
from imagier_client.tasks.task import TaskOptions
from imagier_client.window import Waiting

if TYPE_CHECKING:
    from imagier_client.drawing.drawing import Drawings

DRAWING_HINT = "pip install 'imagier[drawing]'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What `imagier annotate` is asked for. `style` is a format; `out` and `draw` are folders for what is written."""

    paths: Sequence[Path]
    tasks: Sequence[TaskOptions[Any]]
    languages: Sequence[str]
    style: str
    out: Path | None
    draw: Path | None
    server: str | None
    credentials: grpc.ChannelCredentials | None = None
    key: str | None
    concurrency: int
    timeout: float | None
    patience: float


async def annotate(options: Options) -> int:
    """Annotates the pictures; returns the exit status, one of those in command.py."""
    tally = Tally()
    found = find_pictures(options.paths, options.draw, tally.pass_over)
    printer = Printer(options.style, options.languages)
    if options.out == STDOUT:
        first = list(islice(found, 2))
        if len(first) > 1:
            printer.note("imagier annotate: --out - is for one picture, and there are more")
            return USAGE
        found = iter(first)
    given = [path for path in options.paths if path != STDIN and not path.is_dir()]
    try:
        drawings = _drawings(options.draw, given) if options.draw else None
        documents = Documents(options.style, options.out, given) if options.style in STYLES else None
    except OSError as error:
        printer.note(f"imagier annotate: {error.filename}: {error.strerror}")
        return USAGE
    except ModuleNotFoundError:
        printer.note(f"imagier annotate: --draw needs packages that are not installed; run: {DRAWING_HINT}")
        return USAGE
    source = Source(found, tally)
    try:
        async with aclosing(_answers(source, options, printer)) as answers:
            async for path, outcome in answers:
                printer.print(path, outcome)
                good = not failures(outcome)
                if isinstance(outcome, Annotation):
                    good &= await _write(path, source.content(path), outcome, drawings, documents, printer)
                tally.annotated += good
                tally.failed += not good
        if drawings is not None and drawings.undrawn:
            printer.note(
                f"some text could not be written beside its picture, for want of a font: {DRAWING_HINT} brings one"
            )
        if not tally.found:
            printer.note("no pictures found")
    except (ImagierClientError, ServerStartError) as error:
        printer.note(f"imagier annotate: {error}")
        return NO_SERVER
    finally:
        source.count_rest()
        printer.note(str(tally))
    return SOME_FAILED if tally.failed else ALL_GOOD


def _drawings(folder: Path, given: Sequence[Path]) -> Drawings:
    """Raises OSError if the folder cannot be made, ModuleNotFoundError without the extra `drawing`."""
    from imagier_client.drawing.drawing import Drawings  # noqa: PLC0415 - only this option needs its packages

    return Drawings(folder, given)


async def _write(
    path: Path,
    content: bytes | None,
    annotation: Annotation,
    drawings: Drawings | None,
    documents: Documents | None,
    printer: Printer,
) -> bool:
    """Writes the files that were asked for; says what could not be written, and returns whether all were."""
    good = True
    if drawings is not None:
        try:
            await asyncio.to_thread(drawings.draw, path, annotation, content)
        except DrawingError as error:
            printer.note(f"{path}: not drawn: {error}")
            good = False
    if documents is not None and annotation.ocr is not None and annotation.ocr.ok:
        try:
            printer.wrote(await asyncio.to_thread(documents.write, path, annotation))
        except BrokenPipeError:
            raise  # of standard output: there is nobody to tell
        except OSError as error:
            printer.note(f"{path}: not written: {error.strerror}")
            good = False
    return good


async def _answers(source: Source, options: Options, printer: Printer) -> AsyncGenerator[tuple[Path, Outcome], None]:
    """Each picture's answer, in the order of the pictures: what is done early waits its turn."""
    lost: ImagierClientError | ServerStartError | None = None
    # A server takes a while to start; a mistyped name should not.
    if await source.look_ahead():
        retry = RetryPolicy(patience=options.patience)

        def wait(waiting: Waiting) -> None:
            reached.check()
            printer.waits(waiting)

        async with (
            server(options.server, printer) as reached,
            AsyncClient(
                reached.address, credentials=options.credentials, key=options.key, retry=retry, on_wait=wait
            ) as client,
        ):
            answers = client.annotate_many(
                source.pictures(),
                *options.tasks,
                languages=options.languages,
                in_flight=options.concurrency,
                timeout=options.timeout,
            )
            with printer:
                try:
                    async with aclosing(answers):
                        async for place, outcome in answers:
                            source.done[place] = outcome
                            printer.known(source.total)
                            for answer in source.in_turn():
                                yield answer
                except (ImagierClientError, ServerStartError) as error:
                    lost = error
    for answer in source.rest():
        yield answer
    if lost is not None:
        raise lost
