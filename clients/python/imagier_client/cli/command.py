# SPDX-License-Identifier: Apache-2.0
"""What the commands share: their exit statuses, how they end when interrupted, lists in arguments, a server given or started."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import sys
from collections.abc import AsyncGenerator, Coroutine
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import grpc
import typer

from imagier_client.channel import endpoint
from imagier_client.cli.local_server import Server, running
from imagier_client.cli.printing import Printer
from imagier_client.errors import InvalidRequestError
from imagier_client.tls import tls

ALL_GOOD, SOME_FAILED, USAGE, NO_SERVER, NO_OUTPUT, INTERRUPTED, BROKEN_PIPE, TERMINATED = 0, 1, 2, 3, 4, 130, 141, 143
_OUTPUT_LOST = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


def run(command: Coroutine[Any, Any, int]) -> int:
    """The command's exit status, or that of its interruption."""
    try:
        return asyncio.run(_until_terminated(command))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone; nobody must hear of it when the interpreter flushes what is left.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except OSError as error:
        if error.errno not in _OUTPUT_LOST:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.stderr.write(f"imagier: the output cannot be written: {error.strerror}\n")
        return NO_OUTPUT


async def _until_terminated(command: Coroutine[Any, Any, int]) -> int:
    """SIGTERM ends it as Ctrl-C does: what is open is closed, and what was done is said."""
    task, terminated = asyncio.current_task(), False

    def end() -> None:
        nonlocal terminated
        terminated = True
        assert task is not None
        task.cancel()

    with suppress(RuntimeError, ValueError):  # not in the main thread
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end)
    try:
        return await command
    except asyncio.CancelledError:
        if terminated:
            return TERMINATED
        raise


@asynccontextmanager
async def server(given: str | None, printer: Printer) -> AsyncGenerator[Server, None]:
    """The server at the address `given`, or one of our own, which `printer` tells of while it starts."""
    if given is not None:
        yield Server(given)
        return
    with ExitStack() as stack:
        stack.callback(printer.started)
        async with running(printer.starting) as own:
            stack.close()
            yield own


def address(argument: str | None) -> str | None:
    """A server's address, as the client takes it."""
    try:
        if argument is not None:
            endpoint(argument)
    except InvalidRequestError as error:
        raise typer.BadParameter(str(error)) from error
    return argument


def credentials(
    given: str | None, encrypt: bool, ca: Path | None, certificate: Path | None, key: Path | None
) -> grpc.ChannelCredentials | None:
    """What the channel to a given server needs for TLS, which each of the files asks for; `None` without."""
    if not (encrypt or ca or certificate or key):
        return None
    if given is None:
        raise typer.BadParameter("it goes with --server", param_hint="'--tls'")
    try:
        return tls(ca, certificate, key)
    except InvalidRequestError as error:
        raise typer.BadParameter(str(error), param_hint=f"'--tls-{error.field}'") from error


def listed(argument: str) -> tuple[str, ...]:
    """What stands between commas."""
    return tuple(part.strip() for part in argument.split(",") if part.strip())


GivenServer = Annotated[
    str | None, typer.Option("--server", metavar="HOST:PORT", callback=address, help="A server that runs already.")
]
_SERVER = "Server"
Encrypt = Annotated[bool, typer.Option("--tls", rich_help_panel=_SERVER, help="Encrypt; the three below imply it.")]
TlsCa = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        rich_help_panel=_SERVER,
        show_default="the public ones",
        help="Authority of the server's certificate, PEM.",
    ),
]
TlsCertificate = Annotated[
    Path | None, typer.Option(metavar="FILE", rich_help_panel=_SERVER, help="Certificate to show the server, PEM.")
]
TlsKey = Annotated[Path | None, typer.Option(metavar="FILE", rich_help_panel=_SERVER, help="Its key, PEM.")]
Key = Annotated[
    str | None,
    typer.Option(
        metavar="KEY",
        envvar="IMAGIER_KEY",
        rich_help_panel=_SERVER,
        help="API key; others see it in the list of processes.",
    ),
]
Languages = Annotated[str, typer.Option(metavar="LIST", help="Languages of the answers, best first: en,fr,zh.")]
