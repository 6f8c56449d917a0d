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


def stem(folded: str, language: str, simplified: Mapping[int, str]) -> str:
    """A folded word as its variants in that language have it in common: each part singular, nothing between the parts.

    Not a word to show. `simplified` translates traditional Chinese characters (`str.translate`).
    """
    if language == "zh":
        return "".join(_JOINTS.split(folded)).translate(simplified)
    singular = _SINGULAR.get(language, str)
    return "".join(singular(part) for part in _JOINTS.split(folded))


def _english(word: str) -> str:
    if word in _ENGLISH_PLURALS:
        word = _ENGLISH_PLURALS[word]
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
