# SPDX-License-Identifier: Apache-2.0
"""`imagier annotate`: finds the pictures, sends them on one stream, prints each answer in its turn."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path

from imagier_client.aio import AsyncClient
from imagier_client.command import ALL_GOOD, NO_SERVER, SOME_FAILED, USAGE, listed, run, server
from imagier_client.documents import STDOUT, STYLES, Documents
from imagier_client.drawing import DrawingError, Drawings
from imagier_client.errors import ImagierClientError, UnreadableFileError
from imagier_client.local_server import ServerStartError
from imagier_client.messages import Annotation, CaptionOptions, TagsOptions, TextOptions
from imagier_client.paths import find_pictures
from imagier_client.printing import Printer, failures

TASKS = ("tags", "caption", "text")
DEFAULT_TASKS = ("tags", "text")
FONTS_HINT = "pip install 'imagier[fonts]' brings one for Chinese and Japanese"

Outcome = Annotation | ImagierClientError
Found = tuple[Path, UnreadableFileError | None]


def annotate(argv: Sequence[str]) -> int:
    """Runs `imagier annotate`; returns the exit status: 0, 1 some pictures failed, 2 usage, 3 no server, 130 Ctrl-C."""
    return run(_annotate(arguments(argv)))


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """What was asked for; ends the process with status 2 if that cannot be understood."""
    parser = argparse.ArgumentParser(
        prog="imagier annotate",
        allow_abbrev=False,
        description="Annotates pictures. Without --server it starts a server of its own and stops it at the end.",
        epilog="Exit status: 0 all annotated, 1 some failed, 2 wrong usage, 3 no server, 4 no output, 130 interrupted.",
    )
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH", help="a picture, or a folder to search for pictures"
    )
    parser.add_argument(
        "--tasks",
        type=_tasks,
        metavar="LIST",
        help="of tags,caption,text (default: tags,text; for alto and hocr, which need it, text)",
    )
    parser.add_argument(
        "--languages",
        type=listed,
        default=("en",),
        metavar="LIST",
        help="languages of names and captions, best first: en,fr,zh (default: en)",
    )
    parser.add_argument("--max-tags", type=_positive, metavar="N", help="at most so many tags a picture")
    parser.add_argument("--min-score", type=_share, metavar="X", help="only tags with at least this score, 0 to 1")
    parser.add_argument(
        "--candidates", type=_positive, metavar="N", help="at most so many captions a picture (default: 1)"
    )
    parser.add_argument("--max-words", type=_positive, metavar="N", help="at most so many words a caption")
    parser.add_argument(
        "--gender-neutral", action="store_true", help="captions that say a person, not a woman or a man"
    )
    parser.add_argument(
        "--format",
        choices=("table", "jsonl", *STYLES),
        default="table",
        help="for people, for programs, or a file of ALTO 4 or hOCR for each picture (default: table)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="the folder for those files (default: beside each picture); - for one picture",
    )
    parser.add_argument(
        "--draw",
        type=Path,
        metavar="DIR",
        help="write a copy of each picture with its text boxes, tags and captions here",
    )
    parser.add_argument("--server", metavar="HOST:PORT", help="a server that runs already")
    parser.add_argument(
        "--concurrency", type=_positive, default=8, metavar="N", help="pictures held at once (default: 8)"
    )
    options = parser.parse_args(argv)
    if options.out is not None and options.format not in STYLES:
        parser.error(f"--out goes with --format {' or '.join(STYLES)}")
    if options.tasks is None:
        options.tasks = ("text",) if options.format in STYLES else DEFAULT_TASKS
    elif options.format in STYLES and "text" not in options.tasks:
        options.tasks = (*options.tasks, "text")
    return options


async def _annotate(options: argparse.Namespace) -> int:
    pictures = list(find_pictures(options.paths, options.draw))
    printer = Printer(options.format, options.languages, len(pictures))
    if options.out == STDOUT and len(pictures) > 1:
        printer.note(f"imagier annotate: --out - is for one picture, and there are {len(pictures)}")
        return USAGE
    paths = [path for path, _ in pictures]
    try:
        drawings = Drawings(options.draw, paths) if options.draw else None
        documents = Documents(options.format, options.out, paths) if options.format in STYLES else None
    except OSError as error:
        printer.note(f"imagier annotate: {error.filename}: {error.strerror}")
        return USAGE
    if not pictures:
        printer.note("no pictures found")
    failed, left = 0, len(pictures)
    try:
        async with aclosing(_answers(pictures, options, printer)) as answers:
            async for path, outcome in answers:
                printer.print(path, outcome)
                good = not failures(outcome)
                if isinstance(outcome, Annotation):
                    good &= await _write(path, outcome, drawings, documents, printer)
                failed += not good
                left -= 1
        if drawings is not None and drawings.undrawn:
            printer.note(f"some text could not be written beside its picture, for want of a font: {FONTS_HINT}")
    except (ImagierClientError, ServerStartError) as error:
        printer.note(f"imagier annotate: {error} ({left} of {len(pictures)} pictures not annotated)")
        return NO_SERVER
    return SOME_FAILED if failed else ALL_GOOD


async def _write(
    path: Path, annotation: Annotation, drawings: Drawings | None, documents: Documents | None, printer: Printer
) -> bool:
    """Writes the files that were asked for; says what could not be written, and returns whether all were."""
    good = True
    if drawings is not None:
        try:
            await asyncio.to_thread(drawings.draw, path, annotation)
        except DrawingError as error:
            printer.note(f"{path}: not drawn: {error}")
            good = False
    if documents is not None and annotation.text is not None and annotation.text.ok:
        try:
            printer.wrote(await asyncio.to_thread(documents.write, path, annotation))
        except BrokenPipeError:
            raise  # of standard output: there is nobody to tell
        except OSError as error:
            printer.note(f"{path}: not written: {error.strerror}")
            good = False
    return good


async def _answers(
    pictures: Sequence[Found], options: argparse.Namespace, printer: Printer
) -> AsyncGenerator[tuple[Path, Outcome], None]:
    """Each picture's answer, in the order of the pictures: what is done early waits its turn."""
    done: dict[int, Outcome] = {place: error for place, (_, error) in enumerate(pictures) if error is not None}
    turn = 0
    lost: ImagierClientError | None = None
    # A server takes a while to start; a mistyped name should not.
    if len(done) < len(pictures):
        async with server(options.server, printer) as address, AsyncClient(address) as client:
            answers = client.annotate_many(
                ((place, path) for place, (path, error) in enumerate(pictures) if error is None),
                tags="tags" in options.tasks and TagsOptions(max_tags=options.max_tags, min_score=options.min_score),
                text="text" in options.tasks and TextOptions(words=options.format in STYLES),
                caption="caption" in options.tasks
                and CaptionOptions(options.max_words, options.candidates, gender_neutral=options.gender_neutral),
                languages=options.languages,
                in_flight=options.concurrency,
            )
            with printer:
                try:
                    async with aclosing(answers):
                        async for place, outcome in answers:
                            done[place] = outcome
                            while turn in done:
                                yield pictures[turn][0], done.pop(turn)
                                turn += 1
                except ImagierClientError as error:
                    lost = error
    for place in sorted(done):
        yield pictures[place][0], done[place]
    if lost is not None:
        raise lost


def _tasks(argument: str) -> tuple[str, ...]:
    tasks = listed(argument)
    if not tasks or not set(tasks) <= set(TASKS):
        raise argparse.ArgumentTypeError(f"choose from {','.join(TASKS)}")
    return tasks


def _positive(argument: str) -> int:
    if not argument.isdecimal() or not 1 <= int(argument) < 2**31:
        raise argparse.ArgumentTypeError("a whole number from 1 is needed")
    return int(argument)


def _share(argument: str) -> float:
    share = float(argument)
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError("a number from 0 to 1 is needed")
    return share
