# SPDX-License-Identifier: Apache-2.0
"""`imagier keywords`: reads a library's keywords, one a line, and writes which tags each of them means."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from imagier_client.aio import AsyncClient
from imagier_client.cli.command import (
    ALL_GOOD,
    NO_SERVER,
    SOME_FAILED,
    USAGE,
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
    server,
)
from imagier_client.cli.jsonl import dumps
from imagier_client.cli.local_server import ServerStartError
from imagier_client.cli.printing import Printer
from imagier_client.cli.table import printable
from imagier_client.errors import ImagierClientError, InvalidRequestError
from imagier_client.keywords import KeywordMatch, KeywordMatches
from imagier_client.languages import primary
from imagier_client.plain_text import decoded

STDIN = "-"
EPILOG = """Examples:

imagier keywords keywords.txt --languages en,fr

imagier keywords - --server 127.0.0.1:8500 < keywords.txt

Exit status: 0 answered, 1 refused, 2 wrong usage, 3 no server, 130 interrupted."""


def keywords(  # noqa: PLR0913, PLR0917 - an argument for each option
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="One keyword a line, or a list that Lightroom exported; - for stdin.")
    ],
    languages: Languages = "en",
    written_in: Annotated[str, typer.Option(metavar="LIST", help="Languages of the keywords; all if empty.")] = "",
    style: Annotated[Literal["tsv", "jsonl"], typer.Option("--format", help="What to write.")] = "tsv",
    given: GivenServer = None,
    encrypt: Encrypt = False,
    tls_ca: TlsCa = None,
    tls_certificate: TlsCertificate = None,
    tls_key: TlsKey = None,
    key: Key = None,
) -> int:
    """Say which tags the keywords of a library mean. Without --server it starts a server of its own."""
    secured = credentials(given, encrypt, tls_ca, tls_certificate, tls_key)
    client = partial(AsyncClient, credentials=secured, key=key)
    return run(_keywords(file, listed(languages), listed(written_in), style, given, client))


async def _keywords(
    file: str,
    languages: Sequence[str],
    written_in: Sequence[str],
    style: str,
    given: str | None,
    made: Callable[[str], AsyncClient],
) -> int:
    printer = Printer("jsonl", languages)
    try:
        keywords = read(file)
    except OSError as error:
        printer.note(f"imagier keywords: {file}: {error.strerror}")
        return USAGE
    except UnicodeError as error:
        printer.note(f"imagier keywords: {file}: {error.args[-1]}")
        return USAGE
    try:
        async with (
            server(given, printer) as reached,
            made(reached.address) as client,
        ):
            found = await client.match_keywords(keywords, languages=languages, keyword_languages=written_in)
    except InvalidRequestError as error:
        printer.note(f"imagier keywords: {error}" + (f" ({error.field})" if error.field else ""))
        return SOME_FAILED
    except (ImagierClientError, ServerStartError) as error:
        printer.note(f"imagier keywords: {error}")
        return NO_SERVER
    for language in found.unknown_languages:
        printer.note(f"imagier keywords: no names in {language}; English stands in")
    for line in lines(found, style, languages):
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
    return ALL_GOOD


def read(file: str) -> list[str]:
    """A keyword a line, without blank lines. Lines set in by tabs, as Lightroom exports them, lie under the line above: a path.

    UTF-8, or UTF-16 with the mark that Windows writes. Raises OSError; UnicodeError, whose last argument says what to do.
    """
    text = decoded(sys.stdin.buffer.read() if file == STDIN else Path(file).read_bytes())
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
        keyword = printable(match.keyword.replace("\t", " "))
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
    return dumps({"keyword": match.keyword, "meanings": meanings})
