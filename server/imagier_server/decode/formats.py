# SPDX-License-Identifier: Apache-2.0
"""The allow list of formats, by the file's first bytes, before any parser sees it."""

from __future__ import annotations

from enum import StrEnum

from imagier_server.decode.unsupported import sentence
from imagier_server.errors import InvalidImageError


class Format(StrEnum):
    """A format, by its media type."""

    JPEG = "image/jpeg"
    PNG = "image/png"
    WEBP = "image/webp"
    GIF = "image/gif"
    TIFF = "image/tiff"
    AVIF = "image/avif"
    HEIC = "image/heic"
    BMP = "image/bmp"
    JPEG2000 = "image/jp2"


# ISO base media brands (ISO/IEC 23008-12, AV1 image file format).
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"mif1"}
_BMP_HEADERS = {12, 40, 52, 56, 64, 108, 124}
"""Their lengths, which stand at their beginning."""


_STARTS = (
    (b"\x89PNG\r\n\x1a\n", Format.PNG),
    (b"GIF87a", Format.GIF),
    (b"GIF89a", Format.GIF),
    (b"II*\0", Format.TIFF),
    (b"MM\0*", Format.TIFF),
    (b"II+\0", Format.TIFF),  # BigTIFF
    (b"MM\0+", Format.TIFF),
    (b"\xff\x4f\xff\x51", Format.JPEG2000),
)


def sniff(image: bytes) -> Format:
    """Detect the format by the first bytes. Raises `InvalidImageError` for an unsupported one."""
    if not image:
        raise InvalidImageError("the picture is empty")
    if image.startswith(b"\xff\xd8\xff") and image[3:4] != b"\xf7":  # which begins JPEG-LS
        return Format.JPEG
    for start, fmt in _STARTS:
        if image.startswith(start):
            return fmt
    if image.startswith(b"RIFF") and image[8:12] == b"WEBP":
        return Format.WEBP
    if image.startswith(b"BM") and int.from_bytes(image[14:18], "little") in _BMP_HEADERS:
        return Format.BMP
    if image.startswith(b"\0\0\0\x0cjP  \r\n\x87\n") and image[20:24] in {b"jp2 ", b"jpx "}:
        return Format.JPEG2000
    if image[4:8] == b"ftyp" and (found := _by_brand(image)):
        return found
    raise InvalidImageError(sentence(image))


def _by_brand(image: bytes) -> Format | None:
    # The major brand may be generic ("mif1"); then the compatible brands decide.
    size = int.from_bytes(image[:4], "big")
    brands = {image[8:12], *(image[at : at + 4] for at in range(16, min(size, 256), 4))}
    return Format.AVIF if brands & _AVIF_BRANDS else Format.HEIC if brands & _HEIC_BRANDS else None
