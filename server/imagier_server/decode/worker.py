# SPDX-License-Identifier: Apache-2.0
"""The process that decodes: `python -m imagier_server.decode.worker SOCKET_FD MEMORY PIXELS SIDE`. It ends with its socket.

One picture at a time, in frames of `multiprocessing.connection`: format and file in; size out; scale in; pixels or a refusal out.
What comes out is never unpickled, so that a worker taken over by a picture gains nothing in the gateway.
"""

from __future__ import annotations

import resource
import struct
import sys
from multiprocessing.connection import Connection

from imagier_server.decode.decoder import Caps, RefusedError, TooLargeError, decode
from imagier_server.decode.formats import Format

SIZE = struct.Struct("!II")
SCALE = struct.Struct("!d")
# The first byte of an answer.
HEADER, PIXELS, REFUSED, TOO_LARGE, BROKEN = b"hprtb"


def serve(connection: Connection, caps: Caps) -> None:
    """Answers until the gateway closes its end."""

    def scale(width: int, height: int) -> float:
        connection.send_bytes(bytes([HEADER]) + SIZE.pack(width, height))
        answer: float = SCALE.unpack(connection.recv_bytes())[0]
        return answer

    while True:
        try:
            fmt = Format(connection.recv_bytes().decode("ascii"))
            image = connection.recv_bytes()
        except EOFError:
            return
        try:
            picture, _, _ = decode(image, fmt, caps, scale)
        except EOFError:
            return
        except TooLargeError as error:
            connection.send_bytes(bytes([TOO_LARGE]) + str(error).encode())
        except RefusedError as error:
            connection.send_bytes(bytes([REFUSED]) + str(error).encode())
        except Exception:  # noqa: BLE001 - Pillow raises anything on a broken file, and its text may quote the file
            connection.send_bytes(bytes([BROKEN]))
        else:
            connection.send_bytes(bytes([PIXELS]) + SIZE.pack(*picture.size))
            connection.send_bytes(picture.tobytes())
            del picture
        del image  # forgotten before the next one comes


def main() -> None:
    """Confines the process, then serves."""
    descriptor, memory, pixels, side = (int(argument) for argument in sys.argv[1:])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    serve(Connection(descriptor), Caps(pixels=pixels, side=side))


if __name__ == "__main__":
    main()
