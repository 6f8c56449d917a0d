# SPDX-License-Identifier: Apache-2.0
"""People's captions as truth for a machine's: what it says is right if they say it too, in their words or in wider ones."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

ENOUGH = 0.75
"""Share of a caption's words that must be backed; not all, because people leave things out."""

EMPTY = frozenset(
    (  # noqa: SIM905 - a list of words, one a line, would be longer than the code
        "a an the and or of in on at to with by for from into onto over under near is are was be being been has have its it his "
        "her their they he she him them who that which while as up down out off through along around across behind between next "
        "front top there this one some other another very each both side together something"
    ).split()
)
"""Words that say nothing of what a picture shows."""

ALIKE = (
    "man guy gentleman male",
    "woman lady female",
    "boy boys",
    "girl girls",
    "child kid toddler baby infant",
    "people group crowd persons",
    "dog puppy",
    "bike bicycle",
    "motorcycle motorbike dirtbike",
    "photo picture camera",
    "couch sofa",
    "shirt tshirt top jersey",
    "street road",
    "ocean sea",
    "mountain hill cliff",
    "field grass lawn meadow",
    "snow snowy",
    "water pool lake river",
    "run race",
    "jump leap",
    "hold carry",
    "stand pose",
    "look watch stare",
    "climb scale",
)
"""Words that stand for one another, by their stems."""

WIDER = {
    "person": "man woman boy girl child people player person someone rider climber skater runner surfer skier biker",
    "people": "man woman boy girl child person couple team family men women player children friends",
    "child": "boy girl",
    "animal": "dog cat horse bird",
}
"""What is backed by a narrower word: who says "person" of a woman is right, who says "woman" of a person is not."""


def stem(word: str) -> str:
    """Roughly: runs, running and runner are one."""
    irregular = {
        "men": "man",
        "women": "woman",
        "children": "child",
        "people": "people",
        "ran": "run",
        "wearing": "wear",
    }
    if word in irregular:
        return irregular[word]
    for ending in ("ing", "ers", "er", "ies", "es", "ed", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            break
    if len(word) > 3 and word[-1] == word[-2]:
        word = word[:-1]
    return word.rstrip("ey")


def _classes() -> dict[str, frozenset[str]]:
    backed: dict[str, set[str]] = defaultdict(set)
    for words in ALIKE:
        stems = {stem(word) for word in words.split()}
        for each in stems:
            backed[each] |= stems
    for word, narrower in WIDER.items():
        for each in narrower.split():
            backed[stem(word)] |= {stem(each)} | backed.get(stem(each), set())
    return {word: frozenset(by) for word, by in backed.items()}


BACKED_BY = _classes()


def words(text: str) -> list[str]:
    """As the yardstick splits them."""
    return re.findall(r"[a-z0-9']+", text.lower())


def backed(caption: str, references: Sequence[str]) -> float:
    """The share of the caption's words, the empty ones aside, that some reference says; 0 if it says nothing."""
    said = {stem(word) for reference in references for word in words(reference)}
    telling = [stem(word) for word in words(caption) if word not in EMPTY]
    return sum(word in said or bool(BACKED_BY.get(word, frozenset()) & said) for word in telling) / max(len(telling), 1)


def right(caption: str, references: Sequence[str]) -> bool:
    """Whether a caption is right, judged by people's own captions."""
    return backed(caption, references) >= ENOUGH


def read(path: Path, split: str) -> dict[str, list[str]]:
    """Picture's name → its captions."""
    captions: dict[str, list[str]] = defaultdict(list)
    with path.open(encoding="utf-8", newline="") as rows:
        for row in csv.DictReader(rows):
            if row["split"] == split:
                captions[row["image"]].append(row["caption"])
    return dict(captions)
