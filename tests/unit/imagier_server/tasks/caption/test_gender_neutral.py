# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imagier_server.tasks.caption.gender_neutral import gender_neutral
from imagier_server.tasks.caption.wording import tidy

# ruff: noqa: SIM905 - lists of words

REPOSITORY = Path(__file__).parents[5] / "model_repository"
GENDERED = (
    "man woman men women boy girl boys girls lady guys male females mother husband policeman waitress he she his her him hers "
    "himself herself fisherman"
).split()
OTHERS = "a an the two young old dog and , . in on with watches is runs happy as who baby 's tennis player".split()
said = st.lists(st.sampled_from(GENDERED + OTHERS), max_size=16).map(" ".join)


@pytest.mark.parametrize(
    ("sentence", "neutral"),
    [
        ("A man in his hat.", "A person in their hat."),
        ("The boys' toys and the women's hats.", "The children's toys and the people's hats."),
        ("A fisherman and an old man.", "An angler and an old person."),
        ("A policewoman stops a cowboy in cowboy boots.", "A police officer stops a rider in cowboy boots."),
        ("A baby girl with her mother.", "A baby with their parent."),
        ("Two teenage boys.", "Two teenagers."),
        ("A snowman and a dog.", "A snowman and a dog."),
        ("A cowgirl's hat is no cowboy hat.", "A rider's hat is no cowboy hat."),
        ("Bridesmaids and actresses.", "Wedding attendants and actors."),
    ],
)
def test_people(sentence: str, neutral: str) -> None:
    assert gender_neutral(sentence) == neutral


@pytest.mark.parametrize(
    ("sentence", "neutral"),
    [
        ("A man and woman kiss.", "Two people kiss."),
        ("A young man and a young woman are walking.", "Two young people are walking."),
        ("A young man and an old woman.", "A young person and an old person."),
        ("A smiling man and a woman.", "A smiling person and another person."),
        ("The man and the woman.", "The two people."),
        ("A group of young boys and girls.", "A group of young children."),
        ("A woman and two men, on a bench.", "Three people, on a bench."),
        ("A man, a woman and a child.", "Two people and a child."),
        ("A man and a boy.", "A person and a child."),
        ("A man and women.", "A person and people."),
        ("A man looks at a woman.", "A person looks at another person."),
        ("Eleven men and two women.", "Eleven people and two people."),
        ("A child and a boy play.", "Two children play."),
        ("A male and female dancer.", "Two dancers."),
        ("A male and female mime.", "A person and a mime."),
        ("A boy dressed as a girl.", "A child dressed as a child."),
    ],
)
def test_several_people(sentence: str, neutral: str) -> None:
    assert gender_neutral(sentence) == neutral


@pytest.mark.parametrize(
    ("sentence", "neutral"),
    [
        ("A female athlete runs.", "An athlete runs."),
        ("A female tennis player.", "A tennis player."),
        ("The male jumps over the rail.", "The person jumps over the rail."),
        ("Male rides a bike down a hill.", "Person rides a bike down a hill."),
        ("A young blond male sits on a bench.", "A young blond person sits on a bench."),
        ("A male dressed in black plays guitar.", "A person dressed in black plays guitar."),
        ("A male and female sit on a bench.", "Two people sit on a bench."),
        ("The male surfers wait.", "The surfers wait."),
        ("Two young female goats run.", "Two young goats run."),
        ("Female friends pose.", "Friends pose."),
        ("A bearded male dog runs.", "A bearded dog runs."),
        ("Male.", "Person."),
    ],
)
def test_words_for_a_sex(sentence: str, neutral: str) -> None:
    assert gender_neutral(sentence) == neutral


@pytest.mark.parametrize(
    ("sentence", "neutral"),
    [
        ("A boy smiles because he is tall.", "A child smiles because they are tall."),
        ("A boy smiles because he's tall.", "A child smiles because they're tall."),
        ("A girl waves as she watches and carries a kitten.", "A child waves as they watch and carry a kitten."),
        ("A girl falls when she also passes.", "A child falls when they also pass."),
        ("A man follows her in the snow.", "A person follows them in the snow."),
        ("A woman holds her baby.", "A person holds their baby."),
        ("A girl brushes herself.", "A child brushes themselves."),
        ("A man says the hat is his.", "A person says the hat is theirs."),
        ("A dog with a ball in his mouth.", "A dog with a ball in its mouth."),
        ("A man stops as he gazes at what she focuses on.", "A person stops as they gaze at what they focus on."),
        ("A boy waves because he's got a hat.", "A child waves because they've got a hat."),
        ("A girl hugs her tightly.", "A child hugs them tightly."),
        ("A man sits. His dog barks.", "A person sits. Their dog barks."),
    ],
)
def test_pronouns_and_their_verbs(sentence: str, neutral: str) -> None:
    assert gender_neutral(sentence) == neutral


def test_every_word_of_the_default_captioner_is_known() -> None:
    words = json.loads((REPOSITORY / "captioner" / "source" / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    gendered = re.compile(
        r"[a-z]*m[ae]n|boys?|girls?|lad(y|ies)|males?|females?|\w*(mother|father|brother|sister)s?|\w*(bride|groom)\w*|"
        r"he|she|him|hers?|his|(him|her)self|guys?|husbands?|wi(fe|ves)|sons?|daughters?|cow(boy|girl)s?|\w+(boy|girl)s?"
    )
    left = {word for word in words if gendered.fullmatch(word) and gender_neutral(word) == f"{word.capitalize()}."}
    assert left == {"baseman", "batman", "doberman", "german", "human", "snowman", "spiderman", "superman"}


@given(said.map(tidy))
def test_no_gender_is_left_and_a_second_time_changes_nothing(sentence: str) -> None:
    neutral = gender_neutral(sentence)
    words = {word.strip(",.'").removesuffix("'s").casefold() for word in neutral.split()}
    assert words.isdisjoint(GENDERED)
    assert gender_neutral(neutral) == neutral
