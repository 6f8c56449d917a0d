# SPDX-License-Identifier: Apache-2.0
"""English captions without gender: "a man and a woman" are "two people", "his hat" is "their hat". Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from imagier_server.tasks.caption_wording import ADJECTIVES, FUNCTION_WORDS, plural, sentence, with_articles

# ruff: noqa: SIM905 - lists of words, one a line, would be longer than the code

_NOUNS: Final = {
    word: neutral
    for neutral, words in {
        "person": "man woman guy gentleman lady male female dude lad gal",
        "child": "boy girl son daughter",
        "people": "men women guys gentlemen ladies males females dudes lads gals",
        "children": "boys girls sons daughters",
        "schoolchild": "schoolboy schoolgirl",
        "schoolchildren": "schoolboys schoolgirls",
        "parent": "father mother dad mom mum",
        "parents": "fathers mothers dads moms mums",
        "grandparent": "grandfather grandmother grandpa grandma",
        "grandparents": "grandfathers grandmothers grandpas grandmas",
        "relative": "uncle aunt nephew niece",
        "relatives": "uncles aunts nephews nieces",
        "sibling": "brother sister",
        "siblings": "brothers sisters",
        "partner": "husband wife boyfriend girlfriend",
        "partners": "husbands wives boyfriends girlfriends",
        "newlywed": "bride groom",
        "newlyweds": "brides grooms",
        "wedding attendant": "bridesmaid groomsman",
        "wedding attendants": "bridesmaids groomsmen",
        "server": "waiter waitress",
        "servers": "waiters waitresses",
        "firefighter": "fireman",
        "firefighters": "firemen",
        "police officer": "policeman policewoman",
        "police officers": "policemen policewomen",
        "angler": "fisherman",
        "anglers": "fishermen",
        "businessperson": "businessman businesswoman",
        "businesspeople": "businessmen businesswomen",
        "athlete": "sportsman sportswoman",
        "athletes": "sportsmen sportswomen",
        "actor": "actress",
        "actors": "actresses",
        "dancer": "ballerina",
        "dancers": "ballerinas",
        "rider": "cowboy cowgirl horseman horsewoman",
        "riders": "cowboys cowgirls horsemen horsewomen",
        "camera operator": "cameraman camerawoman",
        "camera operators": "cameramen camerawomen",
        "batter": "batsman",
        "batters": "batsmen",
        "worker": "workman repairman",
        "workers": "workmen repairmen",
    }.items()
    for word in words.split()
}
_AGENTS = frozenset(
    (
        "player players athlete athletes dancer dancers runner runners skier skiers surfer surfers swimmer swimmers singer singers "
        "worker workers officer officers gymnast gymnasts cyclist cyclists rider riders performer performers model models "
        "tennis soccer basketball football baseball volleyball hockey track"
    ).split()
)
"""What a word for a sex may stand before: "a woman tennis player" is a tennis player."""
_SEVERAL = frozenset("two three four five six seven eight nine ten several many some few both all these those".split())
_PEOPLE = re.compile("(?:er|or|ist|ant|ent|ian|ate)s$")
"""How nouns for people end that could be verbs: the male surfers, but the male jumps."""
_STATES = frozenset("next bent who airborne asleep".split())
_DEEDS = frozenset(
    "stand sit look walk run ride play jump pose smile talk wait lie kiss dance hug wear watch hold".split()
)
_AGES = {"baby": "baby", "toddler": "toddler", "teenage": "teenager", "teen": "teenager"}
"""What says all that "child" would: a baby girl is a baby."""
_NEUTRAL = frozenset(_NOUNS.values())
_MANY = frozenset(map(plural, _NEUTRAL))
_HUMANS = _NEUTRAL | _AGENTS | frozenset("kid kids couple crowd group team baby toddler adult friend".split())
_ANIMALS = frozenset(
    (
        "dog puppy cat kitten horse pony bird duck cow bull calf sheep lamb goat pig elephant bear monkey lion tiger zebra giraffe "
        "rabbit greyhound poodle retriever terrier collie shepherd bulldog labrador animal seagull fish"
    ).split()
)
_KINDS = frozenset(map(plural, _HUMANS | _ANIMALS))
_PRONOUNS = {
    "he": "they",
    "she": "they",
    "him": "them",
    "himself": "themselves",
    "herself": "themselves",
    "hers": "theirs",
}
_OF_ANIMALS = {"they": "it", "them": "it", "their": "its", "theirs": "its", "themselves": "itself"}
_VERBS = {"is": "are", "was": "were", "has": "have", "does": "do", "goes": "go", "isn't": "aren't", "doesn't": "don't"}
_ADVERBS = frozenset("also always just now still then quickly slowly carefully tightly closely gently".split())
_NUMBERS = "no one two three four five six seven eight nine ten eleven twelve".split()
_COWBOYS = frozenset(["hat", "hats", "boots"])
_ONE = {"a": 1, "an": 1, "one": 1, "another": 1}
_COUNTS = _ONE | {word: number for number, word in enumerate(_NUMBERS)}


_EACH = re.compile(rf"\b(an?) (male|female) and (male|female)( (?:{'|'.join(_AGENTS)}))?\b", re.IGNORECASE)
"""Two people of whom English says one article: "a male and female dancer"."""
_WORD = re.compile(r"(.*?)((?:'s|')?[,.;:!?)]*)")


@dataclass(frozen=True, slots=True)
class _Word:
    """A word; `tail` is what follows it without a blank: "'s", a comma. `neutral` if it says without gender what had one."""

    text: str
    tail: str = ""
    neutral: bool = False

    @property
    def key(self) -> str:
        return self.text.casefold()


_NONE = _Word("")


@dataclass(frozen=True, slots=True)
class _Phrase:
    """A noun with what counts and describes it: words `begin` to `end` of a sentence, the noun last."""

    begin: int
    end: int
    determiner: str
    adjectives: tuple[str, ...]
    noun: _Word

    @property
    def many(self) -> str:
        """The noun's plural."""
        return self.noun.key if self.noun.key in _MANY else plural(self.noun.key)

    @property
    def count(self) -> int | None:
        """How many they are; None if that is not said."""
        return _COUNTS.get(self.determiner, None if self.noun.key in _MANY else 1)


def gender_neutral(text: str) -> str:
    """The sentence with people and their pronouns without gender, its verbs and articles to match."""
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
        if word.key in _AGES and not word.tail and _NOUNS.get(following.key) in {"child", "children"}:
            age = _AGES[word.key]
            many = _NOUNS[following.key] == "children"
            yield _Word(plural(age) if many else age, following.tail, neutral=True)
            place += 1
        elif word.key not in _NOUNS or (word.key + word.tail in {"cowboy", "cowgirl"} and following.key in _COWBOYS):
            yield replace(word, neutral=word.key in _NEUTRAL)
        elif not _qualifies(words, place - 1):
            text = _NOUNS[word.key]
            possessive = word.tail.startswith("'") and not word.tail.startswith("'s") and not text.endswith("s")
            yield _Word(text, "'s" + word.tail[1:] if possessive else word.tail, neutral=True)


def _qualifies(words: list[_Word], place: int) -> bool:
    """Whether the word for a sex is said of the noun after it: "a female athlete", "a woman tennis player"."""
    word, following = words[place], _at(words, place + 1)
    if word.tail or not following.key:
        return False
    if word.key not in {"male", "female"} or following.key in _AGENTS:
        return following.key in _AGENTS
    said = following.key in FUNCTION_WORDS or following.key == "-" or following.key.endswith("ing")
    return not (said or _tells(words, place + 1))


def _tells(words: list[_Word], place: int) -> bool:
    """Whether the word there tells what a male or female does or is, and names nobody: "jumps", "dressed in"."""
    word, following = words[place].key, _at(words, place + 1).key
    if re.search("[^isu]s$", word):
        before = [_at(words, place - back).key for back in (2, 3, 4)]
        if not _ONE.keys().isdisjoint(before[:2]):
            return True
        noun = _PEOPLE.search(word) or word in _KINDS
        return not noun and _SEVERAL.isdisjoint(before)
    ends = words[place].tail or not following or following in FUNCTION_WORDS
    return word in _STATES or (ends and (word.endswith("ed") or word in _DEEDS))


def _merged(words: list[_Word]) -> list[_Word] | None:
    """With the first "a person and a person" as "two people"; None if there is none."""
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
        elif left.count + right.count < len(_NUMBERS):
            counted = ["the"] * (left.determiner == "the") + [_NUMBERS[left.count + right.count]]
        else:
            continue
        made = [*map(_Word, (*counted, *left.adjectives)), _Word(left.many, right.noun.tail, neutral=True)]
        return [*words[: left.begin], *made, *words[right.end :]]
    return None


def _phrase_to(words: list[_Word], end: int) -> _Phrase | None:
    """The phrase that ends before `end`, if its noun was made neutral."""
    begin = end - 1
    if not words[begin].neutral:
        return None
    while begin and _describes(words[begin - 1]):
        begin -= 1
    adjectives = tuple(word.key for word in words[begin : end - 1])
    if begin and _determines(words[begin - 1]):
        return _Phrase(begin - 1, end, words[begin - 1].key, adjectives, words[end - 1])
    before = _at(words, begin - 1)
    if before.key and not before.tail and before.key not in FUNCTION_WORDS and words[end - 1].key not in _MANY:
        return None  # what counts it stands before a word that is not known to describe: "a smiling person"
    return _Phrase(begin, end, "", adjectives, words[end - 1])


def _phrase_from(words: list[_Word], begin: int) -> _Phrase | None:
    """The phrase that begins there, if it is one and its noun was made neutral."""
    end = begin + _determines(_at(words, begin))
    while _describes(_at(words, end)):
        end += 1
    phrase = _phrase_to(words, end + 1) if end < len(words) else None
    return phrase if phrase is not None and phrase.begin == begin else None


def _describes(word: _Word) -> bool:
    return word.key in ADJECTIVES and word.key not in _COUNTS and not word.tail


def _determines(word: _Word) -> bool:
    return (word.key in _COUNTS or word.key in {"the", "some", "several", "many"}) and not word.tail


def _pronouns(words: list[_Word]) -> list[_Word]:
    changed = list(words)
    human = animal = False
    for place, word in enumerate(words):
        human |= word.key in _HUMANS
        animal |= word.key in _ANIMALS
        if word.key in {"his", "her"}:
            following = _at(words, place + 1).key
            alone = bool(word.tail) or not following or following in FUNCTION_WORDS | _ADVERBS
            text = ({"his": "theirs", "her": "them"} if alone else {"his": "their", "her": "their"})[word.key]
        elif word.key in _PRONOUNS:
            text = _PRONOUNS[word.key]
        else:
            continue
        if animal and not human:
            changed[place] = replace(word, text=_OF_ANIMALS[text])
        else:
            contracted = text == "they" and word.tail.startswith("'s")
            are = "'ve" if _at(words, place + 1).key in {"got", "been"} else "'re"
            changed[place] = replace(word, text=text, tail=are + word.tail[2:] if contracted else word.tail)
            if text == "they" and not contracted:
                _agree(changed, place + 1)
    return changed


def _agree(words: list[_Word], place: int) -> None:
    """Makes the verb there, and one that "and" joins to it, go with "they"."""
    while _at(words, place).key in _ADVERBS:
        place += 1
    verb = _at(words, place)
    if (text := _plain(verb.key)) == verb.key:
        return
    words[place] = replace(verb, text=text)
    if verb.key not in _VERBS and not verb.tail and _at(words, place + 1).key == "and" and place + 2 < len(words):
        second = words[place + 2]
        words[place + 2] = replace(second, text=_plain(second.text))


def _plain(verb: str) -> str:
    """Of "jumps", "carries", "watches" and "gazes" what goes with "they"."""
    if verb in _VERBS:
        return _VERBS[verb]
    if len(verb) > 4 and verb.endswith("ies"):
        return f"{verb[:-3]}y"
    return re.sub("(?<=ch|sh|ss|zz|tz)es$|(?<=x)es$|(?<=cus)es$|(?<=[^s])s$", "", verb)


def _others(words: list[_Word]) -> list[_Word]:
    """With "another person" for a second "a person"."""
    seen: set[str] = set()
    changed = list(words)
    for place, word in enumerate(words):
        if word.neutral and word.key not in _MANY:
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
