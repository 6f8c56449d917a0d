# SPDX-License-Identifier: Apache-2.0
"""Words captions: turns a model's output into a clean sentence, a shorter one, a title. For English; pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

# ruff: noqa: SIM905 - lists of words, one a line, would be longer than the code

TITLE_WORDS: Final = 6
REFRAIN: Final = 4
"""Repeated words, at least two of them not adjectives, that mean the model is looping."""

ARTICLES: Final = frozenset({"a", "an", "the"})
_ONE = frozenset({"a", "an"})
PREPOSITIONS: Final = frozenset(
    (
        "about above across after against along alongside amid among around at atop before behind below beneath beside between "
        "beyond by down during for from in inside into like near of off on onto out outside over past through to toward towards "
        "under underneath up upon via with within without"
    ).split()
)
_LINKS = frozenset("and or but nor while as that which who whose whom when where because".split())
AUXILIARIES: Final = frozenset("is are was were be been being has have had does do did can will not".split())
_OWNERS = frozenset("his her its their my your our".split())
FUNCTION_WORDS: Final = ARTICLES | PREPOSITIONS | _LINKS | AUXILIARIES | _OWNERS
FINAL_WORDS: Final = frozenset(
    (
        "up down out off on over by around along alongside past through inside outside in above after before behind below beneath "
        "like near underneath her can do does did not"
    ).split()
)
"""A complete sentence may end with these ("people look on", "a man with a can"); a cut one may not."""
_OPEN_WHEN_CUT = FUNCTION_WORDS | {"very", "too", "than", "this", "these", "some", "another", "next"}
_OPEN = _OPEN_WHEN_CUT - FINAL_WORDS - {"too", "this", "these", "some", "another"}
_HEADS = frozenset("front top middle side edge pair group couple bunch piece lot kind type".split())
"""Nouns that mean nothing without what follows "of"."""
_TRANSITIVE = frozenset(
    [
        "wearing",
        "holding",
        "carrying",
        "throwing",
        "catching",
        "pulling",
        "pushing",
        "taking",
        "using",
        "making",
        "showing",
    ]
)
ADJECTIVES: Final = frozenset(
    (
        "black white brown red blue green yellow orange pink purple gray grey tan blond blonde dark light bright large small big "
        "little tall long short young old older elderly wooden grassy snowy sandy rocky dirty wet bigger larger smaller "
        "one two three four five six several many other"
    ).split()
)
_LOOSE_WHEN_CUT = _OPEN_WHEN_CUT | _TRANSITIVE | ADJECTIVES

_SPACING = (
    (re.compile(r"\s+"), " "),
    (re.compile(r"(?<=\w) ?['’] ?(s|t|re|ve|ll|d|m)\b"), r"'\1"),
    (re.compile(r"(?<=\w) - (?=\w)"), "-"),
    (re.compile(r"\s+(?=[,.;:!?%)\]])"), ""),
    (re.compile(r"(?<=[(\[])\s+"), ""),
    (re.compile(r"([,.;:!?])\1+"), r"\1"),
    (re.compile(r'"\s*([^"]*?)\s*"'), r'"\1"'),
    (re.compile(r'(?:^|\s+)"(?=\s|$)'), ""),
)
_KINDS = (  # of photographs
    r"(?:close[- ]?up|up[- ]?close|black|and|white|colou?r|blurry|blurred|old|vintage|nice|good|beautiful|stock|group|cropped|"
    r"detailed|dark|bright|grainy|digital|high|quality|low|wide|angle|overhead|top|side|front|aerial|small|large|single)"
)
_PHOTO = r"(?:photo|photograph|photography|picture|pic|image|snapshot|shot(?! of (?!an? |the |two ))|close[- ]?up)s?"
"""A shot of a dog is a photograph, a shot of whiskey is not."""
_OPENER = re.compile(
    r"(?:(?:this|that|it|here) (?:is|shows)|it's|there (?:is|are))?\s*(?:an?|the|this|some|several|one|two)?\s*"
    rf"(?:{_KINDS},?\s+){{0,4}}{_PHOTO}(?:"
    r"\s+(?:(?:is )?of|(?:that |which )?(?:shows|depicts)|showing|depicting|features|featuring|captures|capturing)(?:\s+|$)"
    r"|\W*$)"
    rf"|in (?:this|the) {_PHOTO},?\s+(?:(?:we|you) (?:can )?see\s+)?",
    re.IGNORECASE,
)
_GARBLED = re.compile(r"\baraff?e[ds]?\b\s*", re.IGNORECASE)  # BLIP's filler for no word at all
_TWICE = frozenset(["again", "over", "more", "round", "up", "on", "out"])  # "again and again"
_VOWEL = re.compile(r"(?!uni(?!n)|us[ei]|one\b|once\b|eu|ewe)[aeiou]|hour|honou?r", re.IGNORECASE)
_PLURALS = (
    (re.compile("person$"), "people"),
    (re.compile("child$"), "children"),
    (re.compile("(?<!hu)man$"), "men"),
    (re.compile("(sheep|deer|fish)$"), r"\1"),
    (re.compile("([^aeiou])y$"), r"\1ies"),
    (re.compile("(?<=[alr])f$|(?<=i)fe$"), "ves"),
    (re.compile("(s|x|z|ch|sh)$"), r"\1es"),
    (re.compile("$"), "s"),
)
_DOUBLED = frozenset(["pom", "yo", "tuk", "cha", "bye"])
_OF_MANY = {"is": "are", "was": "were", "has": "have"}


def tidy(said: str, *, ended: bool = True) -> str:
    """Turn a model's words into a sentence without "a photo of", repetition or a loose end; empty if nothing is left.

    `ended` is false if the model stopped at its maximum length.
    """
    text = spaced(_GARBLED.sub("", said))
    while opener := _OPENER.match(text):
        text = text[opener.end() :]
    words = _without_repeats(text.split())
    kept = _before_refrain(words)
    return sentence(_closed(with_articles(kept), cut=not ended or len(kept) < len(words)))


def shortened(text: str, most: int) -> str:
    """Cut to a number of words at the end of a sentence, clause or phrase; empty if there is none."""
    words = text.split()
    if len(words) <= most:
        return text
    ends = [place for place in range(most, 1, -1) if _phrase_ends(words, place)]
    whole = [place for place in ends if words[place - 1].endswith((".", "!", "?"))]
    # Rather cut in the middle of an unclear phrase than return next to nothing.
    hasty = [most] if not ends or 2 * ends[0] < most else []
    for place in (*whole, *hasty, *ends):
        kept = _closed(words[:place], cut=True)
        if len(kept) > 1:
            return sentence(kept)
    fewer = [word for word, before in zip(words, ["", *words], strict=False) if not _describes(word, before)]
    plainer = sentence(_closed(with_articles(fewer), cut=True)) if len(fewer) < len(words) else ""
    return shortened(plainer, most) if " " in plainer else ""


def title(text: str) -> str:
    """Shorten a sentence to a title: at most six words, no articles, no full stop."""
    words = re.split(r"(?<=[.!?])\s", text)[0].split()
    if [_bare(word) for word in words[:2]] in (["there", "is"], ["there", "are"]):
        words = words[2:]
    following = [*words, ""][1:]
    kept = [
        word
        for word, after in zip(words, following, strict=True)
        if _bare(word) not in ARTICLES | _OWNERS and not (_bare(word) in {"is", "are"} and _bare(after).endswith("ing"))
    ]
    kept = [
        word
        for word, after in zip(kept, [*kept, ""][1:], strict=True)
        if not (_bare(word) in {"that", "who", "which"} and _bare(after).endswith("ing"))
    ]
    short = shortened(" ".join(kept), TITLE_WORDS) or " ".join(kept[:TITLE_WORDS])
    return sentence(short.split()).rstrip(".")


def first_words(text: str, most: int) -> str:
    """Keep the first words, for languages without rules here (the German "an" is not an article)."""
    return sentence(text.split()[:most])


def essence(text: str) -> tuple[str, ...]:
    """A key that ignores case, articles and punctuation, to compare sentences."""
    return tuple(word for word in map(_bare, text.split()) if word not in ARTICLES)


def spaced(text: str) -> str:
    """Normalise spaces: tokenizers leave "the man ' s hat , and"."""
    for pattern, replacement in _SPACING:
        text = pattern.sub(replacement, text)
    return text.strip()


def sentence(words: Sequence[str]) -> str:
    """Add a capital and a full stop; empty if there is no letter."""
    text = " ".join(words).lstrip(" ,.;:!?-").rstrip(" ,;:-")
    if not any(map(str.isalnum, text)):
        return ""
    return text[0].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def with_articles(words: Sequence[str]) -> list[str]:
    """Correct "a" and "an" by the next letter; of several in a row the last is kept."""
    following = [*words, ""][1:]
    return [
        word[0] + ("n" if _VOWEL.match(after) else "") if word.casefold() in _ONE else word
        for word, after in zip(words, following, strict=True)
        if not (word.casefold() in _ONE and after.casefold() in _ONE)
    ]


def plural(noun: str) -> str:
    """The plural of a noun; punctuation after it stays."""
    word = noun.rstrip(",.;:!?")
    pattern, ending = next(rule for rule in _PLURALS if rule[0].search(word))
    return pattern.sub(ending, word) + noun[len(word) :]


def _describes(word: str, before: str) -> bool:
    return _bare(word) in ADJECTIVES or (_bare(word) == "and" and _bare(before) in ADJECTIVES)


def _bare(word: str) -> str:
    return word.strip(",.;:!?()[]\"'-").casefold()


def _without_repeats(words: Sequence[str]) -> list[str]:
    """Remove repetitions: "in the grass in the grass" keeps half, "a dog and a dog" becomes "two dogs"."""
    kept = list(words)
    while (found := _repeated([_bare(word) for word in kept])) is not None:
        place, length, gap = found
        second = kept[place + length + gap : place + 2 * length + gap]
        end = place + 2 * length + gap
        if gap and _bare(second[0]) in {"a", "an", "one"} and FUNCTION_WORDS.isdisjoint(map(_bare, second[1:])):
            second = ["two", *second[1:-1], plural(second[-1])]
            if place == 0:  # "two dogs are running", but "a man with two dogs is running"
                kept[end : end + 1] = [_OF_MANY.get(word, word) for word in kept[end : end + 1]]
        kept[place:end] = second
    return kept


def _repeated(words: Sequence[str]) -> tuple[int, int, int] | None:
    """Find the longest phrase repeated at once or around "and": (place, length, words between)."""
    for length in range(len(words) // 2, 0, -1):
        for place in range(len(words) - 2 * length + 1):
            phrase, end = words[place : place + length], place + length
            if words[end : end + length] == phrase and not set(phrase) <= _DOUBLED:
                return place, length, 0
            joined = words[end] == "and" and words[end + 1 : end + 1 + length] == phrase and not set(phrase) <= _TWICE
            # "a black and a black dog", "one brown and one brown and white", "the water and water is splashing" are not that.
            ambiguous = length > 1 and phrase[-1] in ADJECTIVES
            after = words[end + 1 + length] if end + 1 + length < len(words) else ""
            if joined and not ambiguous and after != "and" and not (length == 1 and after in AUXILIARIES):
                return place, length, 1
    return None


def _before_refrain(words: Sequence[str]) -> Sequence[str]:
    bare = [_bare(word) for word in words]
    for place in range(REFRAIN, len(bare)):
        for earlier in range(place):
            length = 0
            while (
                place + length < len(bare)
                and earlier + length < place
                and bare[earlier + length] == bare[place + length]
            ):
                length += 1
            while length and bare[place + length - 1] in FUNCTION_WORDS:
                length -= 1
            said = bare[place : place + length]
            if length >= REFRAIN and sum(word not in FUNCTION_WORDS | ADJECTIVES for word in said) > 1:
                return words[:place]
    return words


def _closed(words: Sequence[str], *, cut: bool) -> Sequence[str]:
    """Drop final words that need a continuation."""
    end = len(words)
    loose = _LOOSE_WHEN_CUT if cut else _OPEN
    while end and (
        _bare(words[end - 1]) in loose
        or (end < len(words) and _bare(words[end - 1]) in _HEADS)
        or not _bare(words[end - 1])
    ):
        end -= 1
        loose = _LOOSE_WHEN_CUT
    return words[:end]


def _phrase_ends(words: Sequence[str], place: int) -> bool:
    """Whether a cut after `place` words is possible, judged by the next word."""
    if words[place - 1].endswith((",", ";", ".", "!", "?")):
        return True
    last, following = _bare(words[place - 1]), _bare(words[place])
    begins = following in PREPOSITIONS | _LINKS | AUXILIARIES or following.endswith("n't")
    begins |= following.endswith("ing") and len(following) > 4
    phrasal = following in {"up", "down", "out", "off"} and last.endswith("ed")  # "a boarded up house"
    return begins and not phrasal and last not in FUNCTION_WORDS | ADJECTIVES
