# SPDX-License-Identifier: Apache-2.0
"""Bad pictures through real decoder processes: a permanent error that names the field, and a decoder that lives on."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from imagier_server.decode.process import DecoderProcess
from imagier_server.errors import ImageTooLargeError
from imagier_server.tasks.tags import task as tags
from imagier_server.tasks.tags.crops import SIDE
from PIL import Image
from support import made_pictures as made
from support.decoding import CAPS, colours, decode, near, refused
from support.heic import heic
from support.made_pictures import QUADRANTS, encoded, quadrants
from support.made_tiff import RGB, Page, tiff


@pytest.mark.parametrize(
    ("image", "text"),
    [
        (b"", "empty"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
        (bytes(1000), "nothing but zeros"),
        (bytes(range(256)), "not a picture"),
        (b"\xff\xd8\xff", "damaged"),
        (b"\x89PNG\r\n\x1a\n", "damaged"),
        (b"GIF89a", "damaged"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "damaged"),
        (b"II*\0", "damaged"),
        (b"II*\0\x08\0\0\0\0\0\0\0\0\0", "damaged"),
        (b"\0\0\0\x1cftypavif\0\0\0\0mif1miaf", "damaged"),
        (b"\0\0\0\x1cftypheic\0\0\0\0mif1heic", "damaged"),
        (encoded(quadrants(), "PPM"), "a Netpbm picture"),
    ],
)
def test_no_picture(decoder: DecoderProcess, image: bytes, text: str) -> None:
    assert text in refused(decoder, image)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize(
    "fmt", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "AVIF", "HEIC", "JPEG progressive", "TIFF deflate"]
)
def test_a_truncated_file_is_an_error_and_not_half_a_picture(decoder: DecoderProcess, fmt: str, kept: float) -> None:
    name, *how = fmt.split()
    options = {"progressive": {"progressive": True}, "deflate": {"compression": "tiff_deflate"}}.get("".join(how), {})
    image = heic(made.noise()) if name == "HEIC" else encoded(made.noise(), name, **options)
    assert "truncated" in refused(decoder, image[: int(len(image) * kept)])


def test_a_file_that_lacks_only_its_end_mark_is_read(decoder: DecoderProcess) -> None:
    assert colours(decode(decoder, encoded(quadrants())[:-12])) == [*QUADRANTS]


def test_a_picture_that_announces_30_000_by_30_000_in_a_few_kilobytes(decoder: DecoderProcess) -> None:
    image = made.png((30_000, 30_000), bytes(3_000_000), depth=1, colour=0)
    assert len(image) < 8192
    assert "pixels" in refused(decoder, image)
    for wide, high in ((30_001, 1), (1, 30_001), (2**31 - 1, 2**31 - 1)):
        with pytest.raises(ImageTooLargeError):
            decode(decoder, made.png((wide, high), b"\0" * 5000, depth=1, colour=0))


@pytest.mark.parametrize("fmt", ["GIF", "TIFF", "WEBP", "WEBP lossless", "WEBP extended", "AVIF", "HEIC"])
def test_the_other_headers_lie_no_better(decoder: DecoderProcess, fmt: str) -> None:
    if fmt == "HEIC":
        image = heic(quadrants(), announced=(30_000, 30_000))
    else:
        name, *how = fmt.split()
        options = {"lossless": {"lossless": True}, "extended": {"exif": made.orientation(1)}}.get("".join(how), {})
        image = bytearray(encoded(quadrants(), name, **options))
        if fmt == "GIF":
            image[6:10] = b"\xff\xff\xff\xff"
        elif fmt == "WEBP":
            image[26:30] = b"\xff\x3f\xff\x3f"  # 14 bits for each side
        elif fmt == "WEBP lossless":
            image[21:25] = b"\xff\xff\xff\x0f"
        elif fmt == "WEBP extended":
            image[24:30] = b"\xff\x3f\0" * 2  # 16 384, less one
        elif fmt == "AVIF":
            at = image.index(b"ispe") + 8
            image[at : at + 8] = struct.pack("!II", 16_000, 16_000)
        else:
            at = image.index(struct.pack("<HH", 256, 4) + b"\1\0\0\0") if struct.pack("<HH", 256, 4) in image else -1
            at = at if at >= 0 else image.index(struct.pack("<HH", 256, 3))
            image[at : at + 12] = struct.pack("<HHII", 256, 4, 1, 2**31)
    assert (
        "IMAGIER_MAX_IMAGE_SIDE): 30000" if fmt in {"GIF", "TIFF"} else "IMAGIER_MAX_IMAGE_PIXELS): 100000000"
    ) in refused(decoder, bytes(image))


def test_a_sound_file_that_is_not_read_is_not_called_broken(decoder: DecoderProcess) -> None:
    colours = tiff(Page(np.ones((2, 3, 3), np.float32), RGB))
    assert refused(decoder, colours).startswith(
        "a TIFF file of RGB, 3 floating-point samples of 32 bits a pixel, is not read"
    )


@pytest.mark.parametrize(("kind", "times"), [(b"zTXt", 1), (b"iTXt", 1), (b"iCCP", 1), (b"zTXt", 100), (b"iCCP", 100)])
def test_a_bomb_in_the_metadata_is_not_unpacked(kind: bytes, times: int) -> None:
    """Nor does it keep the picture from being read: there is no memory for it here."""
    small = DecoderProcess(CAPS, 256 << 20)
    picture = decode(small, made.text_bomb(kind, 40 << 20, times))
    assert picture.pixels.tolist() == [[[255, 0, 0]]]
    small.stop()


def test_one_pixel(decoder: DecoderProcess) -> None:
    picture = decode(decoder, encoded(Image.new("RGB", (1, 1), "red")))
    assert (picture.width, picture.height, picture.pixels.tolist()) == (1, 1, [[[255, 0, 0]]])
    assert (tags.prepare(picture)["pixels"] == (255, 0, 0)).all()


@pytest.mark.parametrize("size", [(20_000, 1), (1, 20_000), (30_000, 2), (3, 29_999)])
def test_a_line_of_pixels(decoder: DecoderProcess, size: tuple[int, int]) -> None:
    line = Image.new("RGB", size, "blue")
    line.paste("red", (0, 0, max(1, size[0] // 2), max(1, size[1] // 2)))
    picture = decode(decoder, encoded(line))
    assert picture.pixels.shape == (size[1], size[0], 3)
    assert tuple(picture.pixels[0, 0]) == made.RED
    assert tuple(picture.pixels[-1, -1]) == made.BLUE
    crops = tags.prepare(picture)["pixels"]
    assert crops.shape[1:] == (SIDE, SIDE, 3)
    assert crops[..., 0].max() > 200
    assert crops[..., 2].max() > 200
    assert (crops[..., 1] == 0).all()
    small = decode(decoder, encoded(line), 0.001)
    assert small.pixels.shape == (max(1, round(size[1] / 1000)), max(1, round(size[0] / 1000)), 3)


def test_a_heic_that_unfolds_to_more_than_is_allowed(decoder: DecoderProcess) -> None:
    bomb = heic(quadrants(512, 512), grid=(22, 22))
    assert len(bomb) < 1 << 20
    assert "pixels" in refused(decoder, bomb)


def test_a_thousand_scans_of_a_large_picture(decoder: DecoderProcess) -> None:
    assert "scans" in refused(decoder, made.with_scans(1000, (3000, 3000)))


def test_a_thousand_scans_of_a_small_picture(decoder: DecoderProcess) -> None:
    assert near(colours(decode(decoder, made.with_scans(1000))), QUADRANTS, 3)


@pytest.mark.parametrize("bomb", made.exif_bombs())
@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "WEBP"])
def test_an_exif_bomb_does_not_keep_the_picture_from_being_read(decoder: DecoderProcess, bomb: str, fmt: str) -> None:
    options = {} if fmt == "PNG" else {"quality": 100}
    image = encoded(quadrants(), fmt, exif=made.exif_bombs()[bomb], **options)
    assert near(colours(decode(decoder, image)), QUADRANTS, 8)


@pytest.mark.parametrize("bomb", made.exif_bombs())
@pytest.mark.parametrize("fmt", ["TIFF", "AVIF", "HEIC"])
def test_nor_does_one_that_no_encoder_would_write(decoder: DecoderProcess, bomb: str, fmt: str) -> None:
    block = made.exif_bombs()[bomb]
    if fmt == "TIFF":
        image = made.tiff(quadrants(), block)
    elif fmt == "HEIC":
        image = heic(quadrants(), exif=block)
    else:
        harmless = made.exif(extra=bytes(max(0, len(block) - 20)))
        image = encoded(quadrants(), fmt, exif=harmless, quality=100)
        image = image.replace(harmless[6:], block[6:].ljust(len(harmless) - 6, b"\0"))
        if bomb in {"no header", "nothing"}:  # libavif's own rule
            assert "damaged" in refused(decoder, image)
            return
    assert near(colours(decode(decoder, image)), QUADRANTS, 8)


def test_what_needs_more_memory_than_a_decoder_has_is_too_large() -> None:
    small = DecoderProcess(CAPS, 256 << 20)
    assert "memory" in refused(small, encoded(Image.new("1", (10_000, 10_000))))
    assert colours(decode(small, encoded(quadrants()))) == [*QUADRANTS]
    small.stop()
