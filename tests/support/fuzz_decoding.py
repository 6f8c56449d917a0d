# SPDX-License-Identifier: Apache-2.0
"""The fuzzer's targets that decode: a picture file, and what a decoder process says."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from functools import cache

import numpy as np
from imagier_server.decode import decoder, worker
from imagier_server.decode.formats import Format, sniff
from imagier_server.decode.process import DecoderProcess, DecoderUnavailableError
from imagier_server.decode.refusals import Caps
from imagier_server.errors import InvalidImageError
from PIL import Image

from support import made_pictures as made
from support.heic import heic

CAPS = Caps(pixels=250_000, side=5_000)


class Wire:
    """The worker's end of its socket: one picture, the scale when it is asked for, and the end."""

    def __init__(self, fmt: Format, image: bytes, scale: float) -> None:
        self.messages = [fmt.value.encode(), image]
        self.scale = worker.SCALE.pack(scale)
        self.answers: list[bytes] = []

    def recv_bytes(self) -> bytes:
        if not self.messages:
            raise EOFError
        return self.messages.pop(0)

    def send_bytes(self, answer: bytes) -> None:
        self.answers.append(answer)
        if answer[:1] == worker.HEADER and len(self.answers) == 1:
            self.messages.append(self.scale)


def picture(data: bytes) -> None:
    """A picture file: the worker's answers are a size and as many pixels as it asks for, or one refusal."""
    _codecs()
    try:
        fmt = sniff(data)
    except InvalidImageError as error:
        assert error.field == "image"
        return
    wire = Wire(fmt, data, (len(data) % 16 + 1) / 16)
    with suppress(EOFError):
        worker.serve(wire, CAPS)
    if len(wire.answers) < 3:
        *_, refusal = wire.answers
        assert refusal[:1] in {worker.REFUSED, worker.TOO_LARGE, worker.BROKEN}
        assert refusal[1:].isascii()
        return
    header, pixels, turned, last = wire.answers
    assert (header[:1], pixels[:1]) == (worker.HEADER, worker.PIXELS)
    width, height = worker.SIZE.unpack(header[1:])
    columns, rows = worker.SIZE.unpack(pixels[1:])
    assert 1 <= columns <= width <= CAPS.side
    assert 1 <= rows <= height <= CAPS.side
    assert width * height <= CAPS.pixels
    assert worker.ORIENTATION.unpack(turned)[0] in range(1, 9)
    assert len(last) == columns * rows * 3


@cache
def _codecs() -> None:
    decoder.load_codecs()


def pictures() -> Iterator[bytes]:
    small = made.quadrants(32, 16)
    for fmt in Format:
        if fmt not in {Format.HEIC, Format.JPEG2000}:
            yield made.encoded(small, fmt.value.removeprefix("image/"), exif=made.orientation(6))
    for mode, how in {"RGB": {}, "L": {"no_jp2": True}, "RGBA": {"tile_size": (16, 16)}}.items():
        yield made.encoded(small.convert(mode), "JPEG2000", **how)
    yield made.encoded(small, "JPEG", restart_marker_blocks=1)
    yield made.encoded(small, "JPEG", progressive=True, restart_marker_rows=1)
    for mode in ("1", "L", "P", "RGBA"):
        yield made.encoded(small.convert(mode), "BMP")
    yield heic(made.quadrants(64, 32), 1)
    yield made.encoded(small, "JPEG", progressive=True, icc_profile=made.adobe_rgb())
    yield made.ycck(made.RED, (16, 16))
    yield made.encoded(small.convert("L"), icc_profile=made.linear_grey())
    for mode in ("1", "LA", "P", "RGBA", "I;16"):
        yield made.encoded(Image.new("I;16", (8, 8)) if mode == "I;16" else small.convert(mode))
    for compression in ("tiff_lzw", "tiff_deflate", "packbits", "jpeg", "group4"):
        page = small.convert("1") if compression == "group4" else small
        yield made.encoded(page, "TIFF", compression=compression, save_all=True, append_images=[page])
    yield made.encoded(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF")
    for bomb in made.exif_bombs().values():
        if len(bomb) < 1000:
            yield made.encoded(small, exif=bomb)
    yield made.text_bomb(b"zTXt", 1 << 20)
    for fmt in ("GIF", "WEBP", "AVIF", "MPO", "PNG"):
        yield made.encoded(small, fmt, save_all=True, append_images=[small.transpose(Image.Transpose.ROTATE_180)])


class TakenOver(DecoderProcess):
    """A decoder that says what a picture told it, whatever it is asked, and ends."""

    pid = os.getpid()

    def __init__(self, said: bytes) -> None:
        self._caps = CAPS
        self._confinement = None
        self._said = io.BytesIO(said)

    def _send(self, message: bytes) -> None:
        del message

    def _read(self, size: int) -> memoryview:
        data = self._said.read(size)
        if len(data) < size:
            raise EOFError
        return memoryview(bytearray(data))

    def _killed(self) -> bool:
        return False


def frames(data: bytes) -> None:
    """What a decoder says, from its greeting on: a picture as it announced, or one of our errors."""
    try:
        found = TakenOver(data).decode(b"picture", Format.PNG, lambda *_: 0.5, 60.0)
    except (InvalidImageError, DecoderUnavailableError) as error:
        assert len(error.text) <= 256
        return
    rows, columns, _ = found.pixels.shape
    assert 1 <= columns <= found.width <= CAPS.side
    assert 1 <= rows <= found.height <= CAPS.side
    assert found.width * found.height <= CAPS.pixels


def conversations() -> Iterator[bytes]:
    def framed(*messages: bytes) -> bytes:
        return b"".join(struct.pack("!i", len(message)) + message for message in messages)

    greeting, header = worker.CONFINEMENT.pack(1, True), worker.HEADER + worker.SIZE.pack(8, 4)
    yield framed(greeting, header, worker.PIXELS + worker.SIZE.pack(4, 2), bytes(24))
    yield framed(greeting, header, worker.BROKEN)
    yield framed(greeting, worker.REFUSED + b"no numbers")
    yield framed(greeting, worker.TOO_LARGE + b"too large")
