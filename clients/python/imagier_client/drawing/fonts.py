# SPDX-License-Identifier: Apache-2.0
"""Choice of a font that has a text's characters: that of the extra `drawing`, Pillow's own, then those of this machine."""

from __future__ import annotations

import unicodedata
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

# Noto Sans SC: Latin, Greek, Cyrillic, Chinese and Japanese in one face. A package of data: nothing of it is imported.
_PACKAGE, _PACKAGED = "pylopdf_fonts_zh_cn", "NotoSansSC-Regular.otf"
# File names, which Pillow looks for in the system's font folders. Latin, Greek and Cyrillic first, then Chinese and its neighbours.
_FILES = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "NotoSansCJK-Regular.ttc",
    "NotoSansCJKsc-Regular.otf",
    "NotoSansSC-Regular.ttf",
    "SourceHanSansSC-Regular.otf",
    "wqy-microhei.ttc",
    "wqy-zenhei.ttc",
    "DroidSansFallbackFull.ttf",
    "PingFang.ttc",
    "Hiragino Sans GB.ttc",
    "Arial Unicode.ttf",
    "msyh.ttc",
)
_PLAINER = str.maketrans(
    {
        "œ": "oe",
        "Œ": "OE",
        "æ": "ae",
        "Æ": "AE",
        "ß": "ss",
        "ø": "o",
        "Ø": "O",
        "–": "-",
        "—": "-",
        "…": "...",
        "·": "-",
        "€": "EUR ",
        "£": "GBP ",
    }
)
_ANY_SIZE = 24
_NO_CHARACTER = "\U0010fffe"


def font_for(text: str, size: int) -> Font | None:
    """The first font of `size` pixels that has every character of `text`; `None` if there is none."""
    for file in _files():
        if all(_has(file, character) for character in set(text)):
            return _font(file, size)
    return None


def drawable(text: str) -> str | None:
    """The text, or without its accents where no font has them (Pillow's own has none), or `None` if nothing helps."""
    unaccented = "".join(
        c for c in unicodedata.normalize("NFKD", text.translate(_PLAINER)) if not unicodedata.combining(c)
    )
    return next((form for form in (text, unaccented) if font_for(form, _ANY_SIZE)), None)


def plain(size: int) -> Font:
    """The font that is always there, for Latin letters and digits."""
    return _font(_files()[0], size)


@cache
def _files() -> tuple[str | None, ...]:
    """Finds the fonts' files; None is the font inside Pillow."""
    package = find_spec(_PACKAGE)
    packaged = [str(Path(package.origin).with_name(_PACKAGED))] if package and package.origin else []
    found = []
    for name in _FILES:
        try:
            found.append(str(ImageFont.truetype(name).path))
        except OSError:
            continue
    return (*packaged, None, *found)


@cache
def _font(file: str | None, size: int) -> Font:
    return ImageFont.truetype(file, size) if file else ImageFont.load_default(size)


@cache
def _has(file: str | None, character: str) -> bool:
    return character.isspace() or _shape(file, character) != _shape(file, _NO_CHARACTER)


def _shape(file: str | None, character: str) -> tuple[tuple[int, int], bytes]:
    mask = _font(file, _ANY_SIZE).getmask(character, mode="L")
    return mask.size, bytes(mask)
