# SPDX-License-Identifier: Apache-2.0
"""What real devices make is read with the memory that the deployments give a decoder; what is refused is refused in true words."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace

import pytest
from imagier_server.decode import budget
from imagier_server.decode.decoder import load_codecs
from imagier_server.decode.formats import Format, sniff
from imagier_server.decode.process import DecoderProcess
from imagier_server.decode.refusals import Caps, TooLargeError
from imagier_server.errors import ImageTooLargeError
from imagier_server.settings import Settings
from PIL import Image
from support.heic import heic
from support.made_pictures import chunk, encoded, noise, quadrants
from support.rendered import ROOT, environment
from yaml import safe_load

HOME = Settings.model_validate(
    environment(safe_load((ROOT / "deploy/compose.home.yaml").read_text("utf-8"))["services"]["imagier"])
)
CAPS = Caps(HOME.max_image_pixels, HOME.max_image_side, HOME.decode_memory)
PHONE_50, PHONE_108, PHONE_200, SCREENSHOT = (8192, 6144), (12_000, 9_000), (16_320, 12_240), (1440, 36_861)


@pytest.fixture(scope="module", autouse=True)
def _codecs() -> None:
    load_codecs()


@pytest.fixture(scope="module")
def decoder() -> Iterator[DecoderProcess]:
    running = DecoderProcess(CAPS, HOME.decode_memory)
    yield running
    assert running.alive
    running.stop()


def shrunk(width: int, height: int) -> float:
    """As much as is read of text."""
    return min(1.0, (16_000_000 / (width * height)) ** 0.5)


def plain_png(size: tuple[int, int], colour: int) -> bytes:
    """One colour, made without ever having its pixels."""
    samples = {0: 1, 2: 3, 6: 4}[colour]
    packed = zlib.compressobj(1)
    row = b"\0" + b"\xc8" * size[0] * samples
    data = b"".join(packed.compress(row) for _ in range(size[1])) + packed.flush()
    header = chunk(b"IHDR", struct.pack("!IIBBBBB", *size, 8, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("size", "make"),
    [
        (PHONE_50, lambda size: encoded(Image.new("L", size, 200), "JPEG")),
        (PHONE_108, lambda size: encoded(Image.new("L", size, 200), "JPEG")),
        (PHONE_50, lambda size: plain_png(size, 6)),
        (SCREENSHOT, lambda size: plain_png(size, 2)),
        (PHONE_50, lambda size: heic(noise(512, 512), grid=(size[0] // 512, size[1] // 512))),
    ],
    ids=["JPEG 50", "JPEG 108", "PNG 50", "screenshot", "HEIC 50"],
)
def test_what_phones_make_is_read_at_home(decoder: DecoderProcess, size: tuple[int, int], make: object) -> None:
    image = make(size)  # type: ignore[operator]
    picture = decoder.decode(image, sniff(image), shrunk, 60.0)
    assert (picture.width, picture.height) == size


def claiming(size: tuple[int, int], mode: str = "RGB", **options: object) -> Image.Image:
    """A JPEG by its header, of which there is not more."""
    file = bytearray(encoded(quadrants(64, 64).convert(mode), "JPEG", **options))
    at = max(file.find(b"\xff\xc0"), file.find(b"\xff\xc2"))
    file[at + 5 : at + 9] = struct.pack("!HH", size[1], size[0])
    return Image.open(io.BytesIO(file))


def check(opened: Image.Image, fmt: Format, caps: Caps = CAPS) -> None:
    full, scale = opened.size, shrunk(*opened.size)
    target = (round(full[0] * scale), round(full[1] * scale))
    opened.draft(None, target)
    budget.check(opened, fmt, full, target, 32 << 20, caps)


def test_a_jpeg_of_200_megapixels_is_shrunk_while_it_is_decoded() -> None:
    check(claiming(PHONE_200), Format.JPEG)
    check(claiming(PHONE_200, progressive=True, subsampling=2), Format.JPEG)
    with pytest.raises(TooLargeError):  # its coefficients alone take 1.2 GB
        check(claiming(PHONE_200, progressive=True, subsampling=0), Format.JPEG)
    check(claiming(PHONE_200, progressive=True, subsampling=0), Format.JPEG, replace(CAPS, memory=2 << 30))


@pytest.mark.parametrize(
    "fmt", [Format.WEBP, Format.AVIF, Format.HEIC, Format.PNG, Format.GIF, Format.BMP, Format.JPEG2000]
)
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "LA", "I;16"])
def test_fifty_megapixels_fit_in_every_format(fmt: Format, mode: str) -> None:
    opened = Image.new(mode, (1, 1))
    opened._size = PHONE_50
    check(opened, fmt)


def test_the_refusal_names_the_limit_its_value_and_the_setting(decoder: DecoderProcess) -> None:
    image = plain_png((14_000, 14_000), 6)
    with pytest.raises(
        ImageTooLargeError, match=r"takes about \d{4} MiB; .*IMAGIER_DECODE_MEMORY\) is 960 MiB"
    ) as raised:
        decoder.decode(image, sniff(image), shrunk, 60.0)
    assert raised.value.retry_after is None
    with pytest.raises(TooLargeError, match=r"max_image_pixels \(IMAGIER_MAX_IMAGE_PIXELS\): 220000000"):
        CAPS.check(20_000, 20_000)
    with pytest.raises(TooLargeError, match=r"max_image_side \(IMAGIER_MAX_IMAGE_SIDE\): 65535"):
        CAPS.check(70_000, 1)
