# SPDX-License-Identifier: Apache-2.0
"""What does not tell keywords apart: case, accents, joints, singular or plural, British or American, two kinds of Chinese."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Final

_LIGATURES: Final = str.maketrans({"œ": "oe", "æ": "ae", "’": "'"})
_JOINTS: Final = re.compile(r"[\s\-‐‑–_.,'()&+·]+")

# An e that only carries the plural's s is no letter of the word: box, boxes; church, churches; horse stays like horses.
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
    """Without case, accents, ligatures and superfluous blanks."""
    if word.isascii():
        return " ".join(word.lower().split())
    decomposed = unicodedata.normalize("NFKD", word.casefold().translate(_LIGATURES))
    return " ".join("".join(char for char in decomposed if not unicodedata.combining(char)).split())


def stems(folded: str, language: str, simplified: Mapping[int, str]) -> tuple[str, ...]:
    """A folded word as its variants in that language have it in common: nothing between the parts, which are singular.

    Not words to show. `simplified` translates traditional Chinese characters (`str.translate`).
    """
    together = _together(folded)
    if language == "zh":
        return (together.translate(simplified),)
    singular = _SINGULAR.get(language, str)
    # "Sports car" and "sport cars" have the first in common, with each part singular; "bow tie" and "bowties" the second.
    return tuple(dict.fromkeys(("".join(map(singular, _JOINTS.split(folded))), singular(together))))


def stems_of_name(folded: str, language: str, simplified: Mapping[int, str]) -> tuple[str, ...]:
    """The stems by which a name is found: its own, and that of its plural in -es if it ends in s.

    To `stems` a mantis is several "manti", and mantises are a "mantis".
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
