# SPDX-License-Identifier: Apache-2.0
"""Finds the page among a TIFF's pictures, and reads sample kinds that Pillow does not support."""

from __future__ import annotations

import io
from collections.abc import Sequence
from math import ceil

from PIL import Image, TiffImagePlugin

from imagier_server.decode import raw, webp
from imagier_server.decode.formats import Format
from imagier_server.decode.refusals import Caps, RefusedError
from imagier_server.decode.tiff_directories import Directory, TiffFile

# TIFF 6.0
_SUBFILE, _OLD_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 255, 256, 257, 258, 259, 262
_STRIPS, _ORIENTATION, _SAMPLES, _ROWS, _STRIP_LENGTHS, _PLANAR, _PREDICTOR = 273, 274, 277, 278, 279, 284, 317
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_LENGTHS, _EXTRA, _FORMAT = 322, 323, 324, 325, 338, 339
_REDUCED, _MASK = 1, 4  # bits of NewSubfileType
_UNCOMPRESSED, _OLD_JPEG, _WEBP = 1, 6, 50001
_SMALL = 1 << 20
_RGB, _SIGNED, _SEPARATE, _OLD_REDUCED, _ASSOCIATED = 2, (2,), 2, 2, 1
_ADVICE = "save it as PNG, or as TIFF of 8 or 16 bits a sample"

_MANY_BYTES = {"I;16": ["S"], "I;32": ["S"], "F;32": ["", "F"], "F;64": ["F"]}
_NATIVE = {
    f"{kind}{order}{form}": f"{kind}N{form}"
    for kind, forms in _MANY_BYTES.items()
    for order in ("", "B")
    for form in forms
}
_OTHER_COMPRESSIONS = {
    9: "JBIG",
    10: "JBIG",
    32766: "NeXT",
    32809: "ThunderScan",
    33003: "JPEG 2000",
    33005: "JPEG 2000",
    34661: "JBIG",
    34676: "SGI LogLuv",
    34677: "SGI LogLuv",
    34712: "JPEG 2000",
    34887: "LERC",
    34933: "PNG",
    34934: "JPEG XR",
    50002: "JPEG XL",
    52546: "JPEG XL",
}
_COLOURS = {
    0: "grey",
    1: "grey",
    2: "RGB",
    3: "palette",
    4: "mask",
    5: "CMYK",
    6: "YCbCr",
    8: "CIELab",
    9: "ICCLab",
    10: "ITULab",
    32844: "LogL",
    32845: "LogLuv",
}
_FORMATS = {1: "unsigned", 2: "signed", 3: "floating-point", 5: "complex", 6: "complex"}


def add_kinds() -> None:
    """Register sample kinds that Pillow can unpack but does not list."""
    known = TiffImagePlugin.OPEN_INFO
    for prefix, order in ((TiffImagePlugin.II, ""), (TiffImagePlugin.MM, "B")):

        def kind(
            colours: int, bits: Sequence[int], mode: str, rawmode: str, form: int = 1, extra: Sequence[int] = ()
        ) -> None:
            known[prefix, colours, (form,), 1, tuple(bits), tuple(extra)] = mode, rawmode  # noqa: B023 - called in this turn

        for grey in (0, 1):
            kind(grey, [12], "I;16", "I;12")
            kind(grey, [16], f"I;16{order}", f"I;16{order}")
            kind(grey, [8], "L", "L", form=2)
            kind(grey, [16], "I", f"I;16{order}S", form=2)
            kind(grey, [32], "I", f"I;32{order}S", form=2)
            kind(grey, [32], "F", f"F;32{order}")
            kind(grey, [32], "F", f"F;32{order}F", form=3)
            kind(grey, [64], "F", f"F;64{order}F", form=3)
            for alpha, name in enumerate(("LX", "La", "LA")):
                kind(grey, [8, 8], name.replace("LX", "L"), name, extra=[alpha])
                # Pillow has no such mode: read the bytes as four bands, of which `as_meant` takes the upper ones.
                kind(grey, [16, 16], "RGBA", "RGBA", extra=[alpha])
        for alpha in (1, 2):
            kind(5, [8] * 5, "CMYK", "CMYKX", extra=[alpha])
    for (prefix, colours, form, fill, depths, extra), modes in list(known.items()):
        if form == (1,):  # undefined means unsigned
            known.setdefault((prefix, colours, (4,), fill, depths, extra), modes)


def page(image: bytes, caps: Caps) -> tuple[bytes, Format, int]:
    """Return the file to open for the page, its format, and the orientation if it has none itself.

    The page is the first directory that is neither a reduced copy nor a mask; of a raw file, the largest preview.
    Raises `RefusedError` for a valid file of an unsupported kind.
    """
    try:
        file = TiffFile(image)
    except ValueError:
        return image, Format.TIFF, 1
    first = file.directory(file.first)
    if first is None:
        return image, Format.TIFF, 1
    if name := raw.name(first):
        return raw.preview(file, first, name)
    directory = first if _is_page(first) else _page(file)
    if not all(directory.number(tag) for tag in (_WIDTH, _HEIGHT)):
        return image, Format.TIFF, 1
    caps.check(directory.number(_WIDTH), directory.number(_HEIGHT))
    if directory.number(_COMPRESSION) == _OLD_JPEG:
        found = raw.jpeg_in(directory)
        return (found, Format.JPEG, directory.number(_ORIENTATION, 1)) if found else (image, Format.TIFF, 1)
    _refuse_what_pillow_misreads(directory)
    if directory.number(_COMPRESSION) == _WEBP:
        return _without_webp(directory), Format.TIFF, 1
    if file.big and file.order == ">":  # Pillow takes it for a classic one
        return file.rewritten(directory, {}), Format.TIFF, 1
    return file.beginning_at(directory), Format.TIFF, 1


def _refuse_what_pillow_misreads(directory: Directory) -> None:
    compression, extra = directory.number(_COMPRESSION, _UNCOMPRESSED), directory.number(_EXTRA)
    separate = directory.number(_PLANAR, 1) == _SEPARATE
    if compression in _OTHER_COMPRESSIONS:
        raise RefusedError(f"a TIFF file compressed with {_OTHER_COMPRESSIONS[compression]} is not read: {_ADVICE}")
    if separate and extra and directory.number(_PHOTOMETRIC) != _RGB:
        raise RefusedError(
            f"a TIFF file of separate planes with transparency is not read unless they are RGB: {_ADVICE}"
        )
    offsets, _, across, down = _segments(directory)
    if not (across and down) or directory.count(offsets) < _count(directory) * (
        directory.number(_SAMPLES, 1) if separate else 1
    ):
        # Pillow would leave missing tiles black.
        raise RefusedError("the TIFF file is damaged: it has fewer strips or tiles than its size needs")
    # Pillow reads separate planes itself only if its mode has each.
    TiffImagePlugin.READ_LIBTIFF = separate and (directory.number(_BITS, 1) != 8 or extra == _ASSOCIATED)


def turn_bytes(opened: Image.Image) -> None:
    """Correct the byte order before loading: libtiff returns native-endian samples, which Pillow expects only of common kinds."""
    assert isinstance(opened, TiffImagePlugin.TiffImageFile)
    for number, tile in enumerate(opened.tile):
        if tile.codec_name == "libtiff" and isinstance(tile.args, tuple):
            rawmode, *rest = tile.args
            opened.tile[number] = tile._replace(args=(_NATIVE.get(rawmode, rawmode), *rest))


def as_meant(opened: Image.Image) -> Image.Image:
    """Convert the loaded picture's samples of kinds without a Pillow mode. Greys above 8 bits are left to `colour`."""
    assert isinstance(opened, TiffImagePlugin.TiffImageFile)
    tags = opened.tag_v2
    bits, white_is_zero = tags.get(_BITS, ()), tags.get(_PHOTOMETRIC) == 0
    picture: Image.Image = opened
    if bits == (16, 16):
        swapped = tags.prefix == TiffImagePlugin.MM and opened.info.get("compression") == "raw"
        grey, alpha = (picture.getchannel(band) for band in ("RB" if swapped else "GA"))
        associated, *_ = tags.get(_EXTRA, (0,))
        picture = Image.merge("LA", (grey, alpha)) if associated else grey
        if associated == _ASSOCIATED:
            picture = _unmultiplied(picture)
    elif picture.mode == "La":
        picture = picture.convert("LA")
    elif picture.mode == "L" and tags.get(_FORMAT) == _SIGNED:
        picture = picture.point(lambda value: (value + 128) % 256)
    else:
        white_is_zero = white_is_zero and len(bits) == 2
    if white_is_zero and picture.mode in {"L", "LA"}:
        grey, *alphas = picture.split()
        grey = grey.point(lambda value: 255 - value)
        picture = Image.merge("LA", (grey, *alphas)) if alphas else grey
    return picture


def what_is_not_read(image: bytes) -> RefusedError | None:
    """Name the kind of a valid page that Pillow does not open."""
    try:
        file = TiffFile(image)
    except ValueError:
        return None
    directory = file.directory(file.first)
    if directory is None or not all(directory.number(tag) for tag in (_WIDTH, _HEIGHT)):
        return None
    if not (directory.count(_STRIPS) or directory.count(_TILES)):
        return None
    bits, samples = directory.number(_BITS, 1), directory.number(_SAMPLES, 1)
    form = _FORMATS.get(directory.number(_FORMAT, 1), "undefined")
    colours = _COLOURS.get(directory.number(_PHOTOMETRIC), "unknown colours")
    return RefusedError(
        f"a TIFF file of {colours}, {samples} {form} samples of {bits} bits a pixel, is not read: {_ADVICE}"
    )


def _is_page(directory: Directory) -> bool:
    if _SUBFILE in directory:
        return not directory.number(_SUBFILE) & (_REDUCED | _MASK)
    return directory.number(_OLD_SUBFILE) != _OLD_REDUCED


def _page(file: TiffFile) -> Directory:
    """The first page, or the largest picture if all are marked as reduced."""
    pictures = []
    for directory in file.tree():
        if _is_page(directory):
            return directory
        pictures.append(directory)
    return max(pictures, key=lambda each: each.number(_WIDTH) * each.number(_HEIGHT))


def _segments(directory: Directory) -> tuple[int, int, int, int]:
    """The tags of the tiles' or strips' offsets and lengths; the width and height of each."""
    if _TILES in directory:
        return _TILES, _TILE_LENGTHS, directory.number(_TILE_WIDTH), directory.number(_TILE_HEIGHT)
    height = directory.number(_HEIGHT)
    return _STRIPS, _STRIP_LENGTHS, directory.number(_WIDTH), min(directory.number(_ROWS) or height, height)


def _count(directory: Directory) -> int:
    """Number of tiles or strips in a plane of its size."""
    _, _, across, down = _segments(directory)
    return ceil(directory.number(_WIDTH) / across) * ceil(directory.number(_HEIGHT) / down)


def _without_webp(directory: Directory) -> bytes:
    """Return the file with its page uncompressed: Pillow's libtiff lacks WebP, which Pillow itself reads."""
    offsets, lengths, across, down = _segments(directory)
    count, height = _count(directory), directory.number(_HEIGHT)
    mode = {3: "RGB", 4: "RGBA"}.get(directory.number(_SAMPLES, 1))
    # Tiles may overlap the edge, by less than one tile.
    if mode is None or across * down * count > 4 * directory.number(_WIDTH) * height + _SMALL:
        raise RefusedError("the TIFF file is damaged: its tiles do not fit its size")
    data, places, sizes = bytearray(), [], []
    whole = zip(directory.numbers(offsets, count), directory.numbers(lengths, count), strict=True)
    for number, (at, length) in enumerate(whole):
        part = directory.file.image[at : at + length]
        rows = down if offsets == _TILES else min(down, height - number * down)
        if webp.announced(part) != (across, rows):
            raise RefusedError("the TIFF file is damaged: its tiles have the wrong size")
        with Image.open(io.BytesIO(part), formats=["WEBP"]) as tile:
            pixels = tile.convert(mode).tobytes()
        places.append(len(directory.file.image) + len(data))
        sizes.append(len(pixels))
        data += pixels
    changes = {_COMPRESSION: [_UNCOMPRESSED], _PREDICTOR: [], offsets: places, lengths: sizes}
    return directory.file.rewritten(directory, changes, bytes(data))


def _unmultiplied(picture: Image.Image) -> Image.Image:
    grey, alpha = picture.split()
    return Image.merge("RGBa", (grey, grey, grey, alpha)).convert("RGBA")
