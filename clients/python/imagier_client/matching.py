# SPDX-License-Identifier: Apache-2.0
"""`imagier keywords`: reads a library's keywords, one a line, and writes which tags each of them means."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from imagier_client.aio import AsyncClient
from imagier_client.command import ALL_GOOD, NO_SERVER, SOME_FAILED, USAGE, listed, run, server
from imagier_client.errors import ImagierClientError, InvalidRequestError
from imagier_client.keywords import KeywordMatch, KeywordMatches
from imagier_client.languages import primary
from imagier_client.local_server import ServerStartError
from imagier_client.printing import Printer

STDIN = "-"


def keywords(argv: Sequence[str]) -> int:
    """Runs `imagier keywords`; returns the exit status: 0, 1 refused, 2 usage, 3 no server, 130 Ctrl-C."""
    return run(_keywords(arguments(argv)))


async def _keywords(options: argparse.Namespace) -> int:
    printer = Printer("jsonl", options.languages, 0)
    try:
        keywords = read(options.file)
    except OSError as error:
        printer.note(f"imagier keywords: {options.file}: {error.strerror}")
        return USAGE
    try:
        async with server(options.server, printer) as address, AsyncClient(address) as client:
            found = await client.match_keywords(
                keywords, languages=options.languages, keyword_languages=options.written_in
            )
    except InvalidRequestError as error:
        printer.note(f"imagier keywords: {error}" + (f" ({error.field})" if error.field else ""))
        return SOME_FAILED
    except (ImagierClientError, ServerStartError) as error:
        printer.note(f"imagier keywords: {error}")
        return NO_SERVER
    for language in found.unknown_languages:
        printer.note(f"imagier keywords: no names in {language}; English stands in")
    for line in lines(found, options.format, options.languages):
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
    return ALL_GOOD


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """What was asked for; ends the process with status 2 if that cannot be understood."""
    parser = argparse.ArgumentParser(
        prog="imagier keywords",
        allow_abbrev=False,
        description="Says which tags the keywords of a library mean. Without --server it starts a server of its own.",
        epilog="Exit status: 0 answered, 1 refused, 2 wrong usage, 3 no server, 130 interrupted.",
    )
    parser.add_argument(
        "file",
        metavar="FILE",
        help="one keyword a line, or a list that Lightroom exported; - for standard input",
    )
    parser.add_argument(
        "--languages",
        type=listed,
        default=("en",),
        metavar="LIST",
        help="languages of names: en,fr,zh (default: en)",
    )
    parser.add_argument(
        "--written-in", type=listed, default=(), metavar="LIST", help="languages of the keywords (default: all)"
    )
    parser.add_argument("--format", choices=("tsv", "jsonl"), default="tsv", help="what to write (default: tsv)")
    parser.add_argument("--server", metavar="HOST:PORT", help="a server that runs already")
    return parser.parse_args(argv)


def read(file: str) -> list[str]:
    """A keyword a line, without blank lines. Lines set in by tabs, as Lightroom exports them, lie under the line above: a path.

    Raises OSError.
    """
    content = sys.stdin.buffer.read() if file == STDIN else Path(file).read_bytes()
    text = content.decode("utf-8-sig", errors="replace")
    listed: list[str] = []
    path: list[str] = []
    for line in text.splitlines():
        # Lightroom writes [categories] and {synonyms}.
        if word := line.strip().strip("[]{}").strip():
            del path[len(line) - len(line.lstrip("\t")) :]
            path.append(word)
            listed.append("|".join(path))
    return listed


def lines(found: KeywordMatches, style: str, languages: Sequence[str]) -> Iterator[str]:
    """A line for each keyword and meaning (`tsv`, with a heading), or for each keyword (`jsonl`)."""
    if style == "jsonl":
        yield from map(_json, found.matches)
        return
    known = [language for language in languages if language not in found.unknown_languages]
    columns = [*known, "en"] if len(known) < len(languages) or not known else known
    columns = list(dict.fromkeys(columns))
    yield "\t".join(("keyword", "match", "id", *columns))
    for match in found.matches:
        keyword = match.keyword.replace("\t", " ")
        if not match.meanings:
            yield "\t".join((keyword, "none", "", *("" for _ in columns)))
        for meaning in match.meanings:
            names = (meaning.names.get(primary(language), "") for language in columns)
            yield "\t".join((keyword, meaning.kind, meaning.id, *names))


def _json(match: KeywordMatch) -> str:
    meanings = [
        {
            "id": meaning.id,
            "names": dict(meaning.names),
            "match": meaning.kind,
            "parents": [{"id": parent.id, "names": dict(parent.names)} for parent in meaning.parents],
        }
        for meaning in match.meanings
    ]
    return json.dumps({"keyword": match.keyword, "meanings": meanings}, ensure_ascii=False)
