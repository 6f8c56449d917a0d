# SPDX-License-Identifier: Apache-2.0
"""What the commands share: their exit statuses, how they end when interrupted, lists in arguments, a server given or started."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from collections.abc import AsyncGenerator, Coroutine
from contextlib import ExitStack, asynccontextmanager
from typing import Any

from imagier_client.local_server import running
from imagier_client.printing import Printer

ALL_GOOD, SOME_FAILED, USAGE, NO_SERVER, NO_OUTPUT, INTERRUPTED, BROKEN_PIPE = 0, 1, 2, 3, 4, 130, 141
_OUTPUT_LOST = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


def run(command: Coroutine[Any, Any, int]) -> int:
    """The command's exit status, or that of its interruption."""
    try:
        return asyncio.run(command)
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


@asynccontextmanager
async def server(address: str | None, printer: Printer) -> AsyncGenerator[str, None]:
    """`address`, or that of a server of our own, which `printer` tells of while it starts."""
    if address is not None:
        yield address
        return
    with ExitStack() as stack:
        stack.callback(printer.started)
        async with running(printer.starting) as own:
            stack.close()
            yield own


def listed(argument: str) -> tuple[str, ...]:
    """What stands between commas."""
    return tuple(part.strip() for part in argument.split(",") if part.strip())
