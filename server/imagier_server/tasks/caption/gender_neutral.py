# SPDX-License-Identifier: Apache-2.0
"""Rewrites English captions without gender: "a man and a woman" → "two people", "his hat" → "their hat". Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from imagier_server.tasks.caption.gender_words import (
    ADVERBS,
    AGENTS,
    AGES,
    ANIMALS,
    COUNTS,
    COWBOYS,
    DEEDS,
    HUMANS,
    KINDS,
    MANY,
    NEUTRAL,
    NOUNS,
    NUMBERS,
    OF_ANIMALS,
    ONE,
    PEOPLE,
    PRONOUNS,
    SEVERAL,
    STATES,
    VERBS,
)
from imagier_server.tasks.caption.wording import ADJECTIVES, FUNCTION_WORDS, plural, sentence, with_articles

_EACH = re.compile(rf"\b(an?) (male|female) and (male|female)( (?:{'|'.join(AGENTS)}))?\b", re.IGNORECASE)
"""Two people with one article: "a male and female dancer"."""
_WORD = re.compile(r"(.*?)((?:'s|')?[,.;:!?)]*)")


@dataclass(frozen=True, slots=True)
class _Word:
    """A word; `tail` follows it without a space ("'s", a comma); `neutral` if it replaced a gendered word."""

    text: str
    tail: str = ""
    neutral: bool = False

    @property
    def key(self) -> str:
        return self.text.casefold()


_NONE = _Word("")


@dataclass(frozen=True, slots=True)
class _Phrase:
    """A noun phrase: words `begin` to `end` of a sentence, the noun last."""

    begin: int
    end: int
    determiner: str
    adjectives: tuple[str, ...]
    noun: _Word

    @property
    def many(self) -> str:
        """The noun's plural."""
        return self.noun.key if self.noun.key in MANY else plural(self.noun.key)

    @property
    def count(self) -> int | None:
        """Number of people; None if unknown."""
        return COUNTS.get(self.determiner, None if self.noun.key in MANY else 1)


def gender_neutral(text: str) -> str:
    """Rewrite a sentence without gender; verbs and articles agree."""
    words = list(_nouns([_split(word) for word in _EACH.sub(r"\1 \2\4 and a \3\4", text).split()]))
    while (merged := _merged(words)) is not None:
        words = merged
    neutral = sentence(with_articles([word.text + word.tail for word in _others(_pronouns(words))]))
    return re.sub(r"(?<=[.!?] )\w", lambda first: first[0].upper(), neutral)


def _split(word: str) -> _Word:
    found = _WORD.fullmatch(word)
    return _Word(found[1], found[2]) if found else _Word(word)


def _nouns(words: list[_Word]) -> Iterator[_Word]:
    place = 0
    while place < len(words):
        word, following = words[place], _at(words, place + 1)
        place += 1
        if word.key in AGES and not word.tail and NOUNS.get(following.key) in {"child", "children"}:
            age = AGES[word.key]
            many = NOUNS[following.key] == "children"
            yield _Word(plural(age) if many else age, following.tail, neutral=True)
            place += 1
        elif word.key not in NOUNS or (word.key + word.tail in {"cowboy", "cowgirl"} and following.key in COWBOYS):
            yield replace(word, neutral=word.key in NEUTRAL)
        elif not _qualifies(words, place - 1):
            text = NOUNS[word.key]
            possessive = word.tail.startswith("'") and not word.tail.startswith("'s") and not text.endswith("s")
            yield _Word(text, "'s" + word.tail[1:] if possessive else word.tail, neutral=True)


def _qualifies(words: list[_Word], place: int) -> bool:
    """Whether a gender word qualifies the noun after it: "a female athlete", "a woman tennis player"."""
    word, following = words[place], _at(words, place + 1)
    if word.tail or not following.key:
        return False
    if word.key not in {"male", "female"} or following.key in AGENTS:
        return following.key in AGENTS
    said = following.key in FUNCTION_WORDS or following.key == "-" or following.key.endswith("ing")
    return not (said or _tells(words, place + 1))


def _tells(words: list[_Word], place: int) -> bool:
    """Whether the word is a verb or state rather than a noun: "jumps", "dressed in"."""
    word, following = words[place].key, _at(words, place + 1).key
    if re.search("[^isu]s$", word):
        before = [_at(words, place - back).key for back in (2, 3, 4)]
        if not ONE.keys().isdisjoint(before[:2]):
            return True
        noun = PEOPLE.search(word) or word in KINDS
        return not noun and SEVERAL.isdisjoint(before)
    ends = words[place].tail or not following or following in FUNCTION_WORDS
    return word in STATES or (ends and (word.endswith("ed") or word in DEEDS))


def _merged(words: list[_Word]) -> list[_Word] | None:
    """Replace the first "a person and a person" by "two people"; None if there is none."""
    for place in range(1, len(words) - 1):
        joined = words[place].key == "and" and not words[place].tail and words[place - 1].tail in {"", ","}
        listed = words[place - 1].tail == ","
        if not joined and not listed:
            continue
        left, right = _phrase_to(words, place), _phrase_from(words, place + joined)
        if left is None or right is None or left.many != right.many:
            continue
        if right.adjectives != left.adjectives and (right.adjectives or right.determiner):
            continue
        if (left.count is None) != (right.count is None):
            continue
        if left.count is None or right.count is None:
            counted = [left.determiner] if left.determiner else []
        elif left.count + right.count < len(NUMBERS):
            counted = ["the"] * (left.determiner == "the") + [NUMBERS[left.count + right.count]]
        else:
            continue
        made = [*map(_Word, (*counted, *left.adjectives)), _Word(left.many, right.noun.tail, neutral=True)]
        return [*words[: left.begin], *made, *words[right.end :]]
    return None


def _phrase_to(words: list[_Word], end: int) -> _Phrase | None:
    """The phrase that ends before `end`, if its noun is neutral."""
    begin = end - 1
    if not words[begin].neutral:
        return None
    while begin and _describes(words[begin - 1]):
        begin -= 1
    adjectives = tuple(word.key for word in words[begin : end - 1])
    if begin and _determines(words[begin - 1]):
        return _Phrase(begin - 1, end, words[begin - 1].key, adjectives, words[end - 1])
    before = _at(words, begin - 1)
    if before.key and not before.tail and before.key not in FUNCTION_WORDS and words[end - 1].key not in MANY:
        return None  # the determiner precedes an unknown adjective: "a smiling person"
    return _Phrase(begin, end, "", adjectives, words[end - 1])


def _phrase_from(words: list[_Word], begin: int) -> _Phrase | None:
    """The phrase that begins there, if its noun is neutral."""
    end = begin + _determines(_at(words, begin))
    while _describes(_at(words, end)):
        end += 1
    phrase = _phrase_to(words, end + 1) if end < len(words) else None
    return phrase if phrase is not None and phrase.begin == begin else None


def _describes(word: _Word) -> bool:
    return word.key in ADJECTIVES and word.key not in COUNTS and not word.tail


def _determines(word: _Word) -> bool:
    return (word.key in COUNTS or word.key in {"the", "some", "several", "many"}) and not word.tail


def _pronouns(words: list[_Word]) -> list[_Word]:
    changed = list(words)
    human = animal = False
    for place, word in enumerate(words):
        human |= word.key in HUMANS
        animal |= word.key in ANIMALS
        if word.key in {"his", "her"}:
            following = _at(words, place + 1).key
            alone = bool(word.tail) or not following or following in FUNCTION_WORDS | ADVERBS
            text = ({"his": "theirs", "her": "them"} if alone else {"his": "their", "her": "their"})[word.key]
        elif word.key in PRONOUNS:
            text = PRONOUNS[word.key]
        else:
            continue
        if animal and not human:
            changed[place] = replace(word, text=OF_ANIMALS[text])
        else:
            contracted = text == "they" and word.tail.startswith("'s")
            are = "'ve" if _at(words, place + 1).key in {"got", "been"} else "'re"
            changed[place] = replace(word, text=text, tail=are + word.tail[2:] if contracted else word.tail)
            if text == "they" and not contracted:
                _agree(changed, place + 1)
    return changed


def _agree(words: list[_Word], place: int) -> None:
    """Make the verb, and one joined by "and", agree with "they"."""
    while _at(words, place).key in ADVERBS:
        place += 1
    verb = _at(words, place)
    if (text := _plain(verb.key)) == verb.key:
        return
    words[place] = replace(verb, text=text)
    if verb.key not in VERBS and not verb.tail and _at(words, place + 1).key == "and" and place + 2 < len(words):
        second = words[place + 2]
        words[place + 2] = replace(second, text=_plain(second.text))


def _plain(verb: str) -> str:
    """The plural form of a verb: "jumps", "carries", "watches", "gazes" → "jump", "carry", "watch", "gaze"."""
    if verb in VERBS:
        return VERBS[verb]
    if len(verb) > 4 and verb.endswith("ies"):
        return f"{verb[:-3]}y"
    return re.sub("(?<=ch|sh|ss|zz|tz)es$|(?<=x)es$|(?<=cus)es$|(?<=[^s])s$", "", verb)


def _others(words: list[_Word]) -> list[_Word]:
    """Replace a second "a person" by "another person"."""
    seen: set[str] = set()
    changed = list(words)
    for place, word in enumerate(words):
        if word.neutral and word.key not in MANY:
            if (
                word.key in seen
                and _at(words, place - 1).key in {"a", "an"}
                and _at(words, place - 2).key not in {"as", "like"}
            ):
                changed[place - 1] = _Word("another")
            seen.add(word.key)
    return changed


def _at(words: list[_Word], place: int) -> _Word:
    return words[place] if 0 <= place < len(words) else _NONE
