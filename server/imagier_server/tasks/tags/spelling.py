# SPDX-License-Identifier: Apache-2.0
"""Normalises spelling: case, accents, hyphens, number, British and American, traditional and simplified Chinese."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Final

_LIGATURES: Final = str.maketrans({"œ": "oe", "æ": "ae", "’": "'"})
_JOINTS: Final = re.compile(r"[\s\-‐‑–_.,'()&+·]+")

# The e of a plural in -es is dropped (boxes, churches), but not that of horses.
_SILENT_E: Final = re.compile(r"(s|x|z|ch|sh|o)e$")
_BRITISH: Final = {
    "aeroplane": "airplane",
    "armour": "armor",
    "axe": "ax",
    "catalogue": "catalog",
    "centre": "center",
    "cheque": "check",
    "colour": "color",
    "doughnut": "donut",
    "fibre": "fiber",
    "grey": "gray",
    "harbour": "harbor",
    "jewellery": "jewelry",
    "kerb": "curb",
    "moustache": "mustache",
    "plough": "plow",
    "pyjama": "pajama",
    "snowplough": "snowplow",
    "storey": "story",
    "sulphur": "sulfur",
    "theatre": "theater",
    "tyre": "tire",
    "whisky": "whiskey",
}
_ENGLISH_PLURALS: Final = {
    "calves": "calf",
    "children": "child",
    "feet": "foot",
    "geese": "goose",
    "hooves": "hoof",
    "knives": "knife",
    "leaves": "leaf",
    "loaves": "loaf",
    "mice": "mouse",
    "oxen": "ox",
    "people": "person",
    "scarves": "scarf",
    "shelves": "shelf",
    "teeth": "tooth",
    "wolves": "wolf",
}
_IRREGULAR: Final = re.compile(f"(?:{'|'.join(_ENGLISH_PLURALS)})$")  # leaves, and cloverleaves
_FRENCH_PLURALS: Final = {
    "travaux": "travail",
    "vitraux": "vitrail",
    "yeux": "oeil",
    "noyaux": "noyau",
    "tuyaux": "tuyau",
}


def fold(word: str) -> str:
    """Remove case, accents, ligatures and extra spaces."""
    if word.isascii():
        return " ".join(word.lower().split())
    decomposed = unicodedata.normalize("NFKD", word.casefold().translate(_LIGATURES))
    return " ".join("".join(char for char in decomposed if not unicodedata.combining(char)).split())


def stems(folded: str, language: str, simplified: Mapping[int, str]) -> tuple[str, ...]:
    """The stems that a folded word shares with its variants: parts joined, each singular.

    Not for display. `simplified` maps traditional Chinese characters (`str.translate`).
    """
    together = _together(folded)
    if language == "zh":
        return (together.translate(simplified),)
    singular = _SINGULAR.get(language, str)
    # "Sports car" and "sport cars" share the first stem (each part singular), "bow tie" and "bowties" the second.
    return tuple(dict.fromkeys(("".join(map(singular, _JOINTS.split(folded))), singular(together))))


def stems_of_name(folded: str, language: str, simplified: Mapping[int, str]) -> tuple[str, ...]:
    """The stems that find a name: its own, and that of its plural in -es if it ends in s.

    `stems` takes "mantis" for the plural of "manti", and "mantises" for that of "mantis".
    """
    return tuple(dict.fromkeys((*stems(folded, language, simplified), _together(folded))))


def _together(folded: str) -> str:
    return "".join(_JOINTS.split(folded))


def _english(word: str) -> str:
    if irregular := _IRREGULAR.search(word):
        word = word[: irregular.start()] + _ENGLISH_PLURALS[irregular.group()]
    elif len(word) > 3 and word.endswith("men"):
        word = f"{word[:-2]}an"
    elif len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us")):
        word = word[:-1]
    word = _BRITISH.get(word, word)
    if len(word) > 3 and word.endswith("ie"):
        return f"{word[:-2]}y"  # berry, berries; cookie, cookies
    return _SILENT_E.sub(r"\1", word)


def _french(word: str) -> str:
    if word in _FRENCH_PLURALS:
        return _FRENCH_PLURALS[word]
    if len(word) > 3 and word.endswith("aux") and not word.endswith("eaux"):
        return f"{word[:-2]}l"  # cheval, chevaux
    if len(word) > 3 and word.endswith(("eaux", "eux", "oux")):
        return word[:-1]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


_SINGULAR: Final[Mapping[str, Callable[[str], str]]] = {"en": _english, "fr": _french}
