# SPDX-License-Identifier: Apache-2.0
"""The process that decodes: `python -m imagier_server.decode.worker SOCKET_FD MEMORY PIXELS SIDE`. It ends with its socket.

First it sandboxes itself and reports how. Then it decodes one picture at a time, in frames of `multiprocessing.connection`: format
and file in; size out; scale in; size, orientation and pixels or a refusal out. No pickles: a compromised worker gains nothing.
"""

from __future__ import annotations

import os
import signal
import struct
import sys
from contextlib import suppress
from multiprocessing.connection import Connection

from imagier_server.decode.confinement import confine, limit
from imagier_server.decode.decoder import decode, load_codecs
from imagier_server.decode.formats import Format
from imagier_server.decode.refusals import Caps, RefusedError, TooLargeError

CONFINEMENT = struct.Struct("!B?")
"""Landlock's version, and whether system calls are filtered."""
SIZE = struct.Struct("!II")
SCALE = struct.Struct("!d")
ORIENTATION = struct.Struct("!B")
NICENESS = 5
"""Behind the gateway, which takes up calls meanwhile, and beside Triton (embedded/launcher.py)."""
# The first byte of an answer.
HEADER, PIXELS, REFUSED, TOO_LARGE, BROKEN = b"h", b"p", b"r", b"t", b"b"


def serve(connection: Connection, caps: Caps) -> None:
    """Serve until the gateway closes its end."""

    def scale(width: int, height: int) -> float:
        connection.send_bytes(HEADER + SIZE.pack(width, height))
        wanted: float = SCALE.unpack(connection.recv_bytes())[0]
        return wanted

    answer: tuple[bytes, ...]
    while True:
        fmt = Format(connection.recv_bytes().decode("ascii"))
        image = connection.recv_bytes()
        try:
            found = decode(image, fmt, caps, scale)
            answer = (
                PIXELS + SIZE.pack(*found.picture.size),
                ORIENTATION.pack(found.orientation),
                found.picture.tobytes(),
            )
            del found
        except TooLargeError as error:
            answer = (TOO_LARGE + str(error).encode(),)
        except RefusedError as error:
            answer = (REFUSED + str(error).encode(),)
        except MemoryError:
            answer = (TOO_LARGE + b"the picture needs more memory than decode_memory (IMAGIER_DECODE_MEMORY)",)
        except Exception:  # noqa: BLE001 - Pillow raises anything on a damaged file, and its text may quote the file
            answer = (BROKEN,)
        for frame in answer:
            connection.send_bytes(frame)
        del image, answer  # forgotten before the next one comes


def main() -> None:
    """Confines the process, then serves."""
    # A terminal and systemd signal every process; the gateway drains first, and then ends its decoders itself.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.nice(NICENESS)
    descriptor, memory, pixels, side = (int(argument) for argument in sys.argv[1:])
    connection = Connection(descriptor)
    limit(memory)
    load_codecs()
    confined = confine()
    connection.send_bytes(CONFINEMENT.pack(confined.landlock, confined.seccomp))
    with suppress(EOFError, ConnectionError):  # the gateway has closed its end
        serve(connection, Caps(pixels, side, memory))


if __name__ == "__main__":
    main()
