# SPDX-License-Identifier: Apache-2.0
"""Which pictures are let in: an allow-list by the file's first bytes, before any parser sees it."""

from __future__ import annotations

from enum import StrEnum

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


# ISO base media brands (ISO/IEC 23008-12, AV1 image file format).
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}


def sniff(image: bytes) -> Format:
    """The format that the first bytes announce; `InvalidImageError` if it is none of ours."""
    if not image:
        raise InvalidImageError("the picture is empty")
    if image.startswith(b"\xff\xd8\xff"):
        return Format.JPEG
    if image.startswith(b"\x89PNG\r\n\x1a\n"):
        return Format.PNG
    if image.startswith(b"RIFF") and image[8:12] == b"WEBP":
        return Format.WEBP
    if image.startswith((b"GIF87a", b"GIF89a")):
        return Format.GIF
    if image.startswith((b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")):
        return Format.TIFF
    if image[4:8] == b"ftyp":
        # The major brand may be a generic one ("mif1"); the compatible brands then tell.
        size = int.from_bytes(image[:4], "big")
        brands = {image[8:12], *(image[at : at + 4] for at in range(16, min(size, 256), 4))}
        if brands & _AVIF_BRANDS:
            return Format.AVIF
        if brands & _HEIC_BRANDS:
            return Format.HEIC
    raise InvalidImageError("the file is not a picture of an accepted format")
