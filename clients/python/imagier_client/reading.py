# SPDX-License-Identifier: Apache-2.0
"""Reading of pictures: a file is opened when its turn comes, and its size checked before it is read."""

from __future__ import annotations

import os
import stat

from imagier_client.arguments import no_picture
from imagier_client.errors import ImageTooLargeError, UnreadableFileError
from imagier_client.messages import Limits

Image = bytes | bytearray | memoryview | os.PathLike[str] | str
"""A picture: the bytes of its file, or where the file is."""


def read_image(image: Image, limits: Limits) -> bytes:
    """Returns the picture's bytes, at most `limits.image_bytes` of them.

    Raises ImageTooLargeError before anything is read or sent, UnreadableFileError for a file that cannot be read,
    InvalidRequestError for a value that is neither bytes nor a path. A named pipe or a device is refused.
    """
    most = limits.image_bytes or None
    if isinstance(image, bytes | bytearray | memoryview):
        _check_size(memoryview(image).nbytes, most)
        return bytes(image)
    if not isinstance(image, str | os.PathLike):
        raise no_picture(image)
    try:
        # Opening a named pipe for reading would wait for a writer.
        with os.fdopen(os.open(image, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise UnreadableFileError("not a regular file", field="image")
            _check_size(found.st_size, most)
            # The file may be growing.
            content = file.read() if most is None else file.read(most + 1)
    except (OSError, ValueError) as error:  # a name with a null character is a ValueError
        raise UnreadableFileError(getattr(error, "strerror", None) or str(error), field="image") from error
    _check_size(len(content), most)
    return content


def _check_size(size: int, most: int | None) -> None:
    if most is not None and size > most:
        raise ImageTooLargeError(f"the picture's file has {size} bytes; this server takes {most}", field="image")
