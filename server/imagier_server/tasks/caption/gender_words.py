# SPDX-License-Identifier: Apache-2.0
"""Word lists for `gender_neutral`: English nouns, pronouns, verbs and numbers."""

from __future__ import annotations

import re
from typing import Final

from imagier_server.tasks.caption.wording import plural

# ruff: noqa: SIM905 - lists of words, one a line, would be longer than the code

NOUNS: Final = {
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
AGENTS = frozenset(
    (
        "player players athlete athletes dancer dancers runner runners skier skiers surfer surfers swimmer swimmers singer singers "
        "worker workers officer officers gymnast gymnasts cyclist cyclists rider riders performer performers model models "
        "tennis soccer basketball football baseball volleyball hockey track"
    ).split()
)
"""Nouns that a gender word may qualify: "a woman tennis player" is a tennis player."""
SEVERAL = frozenset("two three four five six seven eight nine ten several many some few both all these those".split())
PEOPLE = re.compile("(?:er|or|ist|ant|ent|ian|ate)s$")
"""Endings that mark a noun for people rather than a verb: "the male surfers", but "the male jumps"."""
STATES = frozenset("next bent who airborne asleep".split())
DEEDS = frozenset(
    "stand sit look walk run ride play jump pose smile talk wait lie kiss dance hug wear watch hold".split()
)
AGES = {"baby": "baby", "toddler": "toddler", "teenage": "teenager", "teen": "teenager"}
"""Words that replace "child": a baby girl is a baby."""
NEUTRAL = frozenset(NOUNS.values())
MANY = frozenset(map(plural, NEUTRAL))
HUMANS = NEUTRAL | AGENTS | frozenset("kid kids couple crowd group team baby toddler adult friend".split())
ANIMALS = frozenset(
    (
        "dog puppy cat kitten horse pony bird duck cow bull calf sheep lamb goat pig elephant bear monkey lion tiger zebra giraffe "
        "rabbit greyhound poodle retriever terrier collie shepherd bulldog labrador animal seagull fish"
    ).split()
)
KINDS = frozenset(map(plural, HUMANS | ANIMALS))
PRONOUNS = {
    "he": "they",
    "she": "they",
    "him": "them",
    "himself": "themselves",
    "herself": "themselves",
    "hers": "theirs",
}
OF_ANIMALS = {"they": "it", "them": "it", "their": "its", "theirs": "its", "themselves": "itself"}
VERBS = {"is": "are", "was": "were", "has": "have", "does": "do", "goes": "go", "isn't": "aren't", "doesn't": "don't"}
ADVERBS = frozenset("also always just now still then quickly slowly carefully tightly closely gently".split())
NUMBERS = "no one two three four five six seven eight nine ten eleven twelve".split()
COWBOYS = frozenset(["hat", "hats", "boots"])
ONE = {"a": 1, "an": 1, "one": 1, "another": 1}
COUNTS = ONE | {word: number for number, word in enumerate(NUMBERS)}
