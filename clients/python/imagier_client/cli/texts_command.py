# SPDX-License-Identifier: Apache-2.0
"""`imagier embed-text`: writes the vector of each text as a line of JSON."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated

import typer

from imagier_client.aio import AsyncClient
from imagier_client.cli.command import (
    ALL_GOOD,
    NO_SERVER,
    SOME_FAILED,
    Encrypt,
    GivenServer,
    Key,
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
from imagier_client.errors import ForbiddenError, ImagierClientError, InvalidRequestError, UnsupportedError

STDIN = "-"
EPILOG = """Examples:

imagier embed-text "a dog in the snow" --server 127.0.0.1:8500

imagier embed-text - < queries.txt

Exit status: 0 answered, 1 refused, 2 wrong usage, 3 no server, 130 interrupted."""


def embed_text(  # noqa: PLR0913, PLR0917 - an argument for each option
    texts: Annotated[
        list[str], typer.Argument(metavar="TEXT", help="Words or sentences; - for one on each line of stdin.")
    ],
    languages: Annotated[
        str, typer.Option(metavar="LIST", help="Languages of the texts, for models that must be told.")
    ] = "",
    given: GivenServer = None,
    encrypt: Encrypt = False,
    tls_ca: TlsCa = None,
    tls_certificate: TlsCertificate = None,
    tls_key: TlsKey = None,
    key: Key = None,
) -> int:
    """Write the vectors of texts, to be compared with those of `annotate --tasks embedding`."""
    secured = credentials(given, encrypt, tls_ca, tls_certificate, tls_key)
    client = partial(AsyncClient, credentials=secured, key=key)
    lines = [line.rstrip("\r\n") for line in sys.stdin] if STDIN in texts else []
    wanted = [each for text in texts for each in (filter(str.strip, lines) if text == STDIN else (text,))]
    return run(_embed(wanted, listed(languages), given, client))


async def _embed(
    texts: Sequence[str], languages: Sequence[str], given: str | None, made: Callable[[str], AsyncClient]
) -> int:
    printer = Printer("jsonl", languages)
    try:
        async with server(given, printer) as reached, made(reached.address) as client:
            found = await client.embed_text(texts, languages=languages)
    except (InvalidRequestError, UnsupportedError, ForbiddenError) as error:
        printer.note(f"imagier embed-text: {error}" + (f" ({error.field})" if error.field else ""))
        return SOME_FAILED
    except (ImagierClientError, ServerStartError) as error:
        printer.note(f"imagier embed-text: {error}")
        return NO_SERVER
    for language in found.unknown_languages:
        printer.note(f"imagier embed-text: the model was not made for {language}")
    for place, (text, vector) in enumerate(zip(texts, found.vectors, strict=True)):
        line = {
            "text": text,
            "space": vector.space.name,
            "vector": vector.values,
            "truncated": place in found.truncated,
        }
        sys.stdout.write(f"{dumps(line)}\n")
    sys.stdout.flush()
    return ALL_GOOD
