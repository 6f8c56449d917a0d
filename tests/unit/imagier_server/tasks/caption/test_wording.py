# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from imagier_server.tasks.caption.wording import (
    ARTICLES,
    FINAL_WORDS,
    FUNCTION_WORDS,
    TITLE_WORDS,
    essence,
    first_words,
    plural,
    shortened,
    tidy,
    title,
    with_articles,
)

# ruff: noqa: SIM905 - lists of words

WORDS = (
    "a an the of in on into at with and or two is are that his her man dog dogs grass picture photo image close up front pair "
    "group black white brown young running jumps wearing looking , . ' s - next to very there this shows"
).split()
said = st.lists(st.sampled_from(WORDS), max_size=24).map(" ".join)


def bare(word: str) -> str:
    return word.strip(",.;:!?'\"()").casefold()


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ("a brown dog jumps into a pool", "A brown dog jumps into a pool."),
        ("a photo of a dog", "A dog."),
        ("a picture of a picture of a dog", "A dog."),
        ("this is a black and white photograph of a train", "A train."),
        ("there is a close up of a cat", "A cat."),
        ("a blurry , old photo of a house", "A house."),
        ("The image shows a man. He is tall.", "A man. He is tall."),
        ("in this image, we can see a t - shirt", "A t-shirt."),
        ("several photos of a house", "A house."),
        ("this photo is of a lake", "A lake."),
        ("a shot of a dog", "A dog."),
        ("a shot of whiskey", "A shot of whiskey."),
        ('a sign that says " stop "', 'A sign that says "stop".'),
        ('a sign that says " stop', "A sign that says stop."),
        ("a photo of", ""),
        ("a picture.", ""),
        ("", ""),
        (" . , ", ""),
        ("a man takes a picture of a dog", "A man takes a picture of a dog."),
        ("a aerial view of a city", "An aerial view of a city."),
        ('the letter " a " on a sign', 'The letter "a" on a sign.'),
        ("the man ' s hat , and the dogs don ' t care", "The man's hat, and the dogs don't care."),
        ("is it a dog?", "Is it a dog?"),
        ("a dog..", "A dog."),
        ("arafed dog laying on a bed", "Dog laying on a bed."),
    ],
)
def test_what_a_model_says_becomes_a_sentence(raw: str, sentence: str) -> None:
    assert tidy(raw) == sentence


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ("a a a dog dog", "A dog."),
        ("a dog in the grass in the grass", "A dog in the grass."),
        ("a dog and a dog run", "Two dogs run."),
        ("a wolf and a wolf is running", "Two wolves are running."),
        ("a black and a black dog run", "A black and a black dog run."),
        ("a boy sits in the water and water is splashing", "A boy sits in the water and water is splashing."),
        ("a black dog and a black dog run", "Two black dogs run."),
        ("people and people", "People."),
        ("a boy jumps again and again", "A boy jumps again and again."),
        ("a girl with a pom pom", "A girl with a pom pom."),
        ("a dog, a dog, a dog", "A dog."),
        ("a man in a hat and a man in a coat", "A man in a hat and a man in a coat."),
        (
            "a group of people standing on a boat next to a group of people in a boat",
            "A group of people standing on a boat.",
        ),
    ],
)
def test_nothing_is_said_twice(raw: str, sentence: str) -> None:
    assert tidy(raw) == sentence


@pytest.mark.parametrize(
    "said",
    [
        "A man holds a can.",
        "A boy looks up at her.",
        "A girl rides a horse while others cheer her on.",
        "The waves roll in.",
        "A black and white cat sleeps on a black and white rug.",
        "A boy in a red shirt chases a girl in a red shirt.",
        "A man runs as fast as he can.",
    ],
)
def test_what_is_complete_stays(said: str) -> None:
    assert tidy(said) == said


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ("a dog in a", "A dog."),
        ("a dog jumps with its", "A dog jumps."),
        ("two dogs are running and", "Two dogs are running."),
        ("a man is", "A man."),
        ("a woman in front of", "A woman."),
        ("a woman wearing a pair of", "A woman."),
        ("a woman wearing", "A woman wearing."),
        ("a man with his goggles on", "A man with his goggles on."),
        ("in a", ""),
    ],
)
def test_no_end_hangs_loose(raw: str, sentence: str) -> None:
    assert tidy(raw) == sentence


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ("a dog runs over the black", "A dog runs."),
        ("a dog runs after", "A dog runs."),
        ("a boy looks up at her", "A boy looks."),
        ("a dog jumps over another", "A dog jumps."),
        ("a woman in the snow holding two", "A woman in the snow."),
        ("a dog runs", "A dog runs."),
    ],
)
def test_a_model_out_of_room_may_have_stopped_anywhere(raw: str, sentence: str) -> None:
    assert tidy(raw, ended=False) == sentence


@given(said, st.booleans())
@example("the grass and and the grass", True)
@example("a an a man", False)
def test_every_sentence_is_one(raw: str, ended: bool) -> None:
    sentence = tidy(raw, ended=ended)
    if not sentence:
        return
    words = sentence.split()
    assert sentence[0] == sentence[0].upper()
    assert sentence[-1] in ".!?"
    assert " ".join(words) == sentence
    assert not any(word[0] in ",.;:!?" for word in words)
    assert bare(words[-1]) not in (FUNCTION_WORDS - FINAL_WORDS if ended else FUNCTION_WORDS)
    assert all(one != other for one, other in zip(map(bare, words), map(bare, words[1:]), strict=False))
    assert not sentence.startswith(("A photo of", "An image of", "A picture of", "The image shows"))


@pytest.mark.parametrize(
    ("sentence", "most", "short"),
    [
        ("A brown dog jumps into a pool.", 7, "A brown dog jumps into a pool."),
        ("A brown dog jumps into a pool.", 6, "A brown dog jumps."),
        ("A man in a red shirt is standing on a rock.", 7, "A man in a red shirt."),
        ("A man in a red shirt is standing on a rock.", 5, "A man."),
        ("A boy wearing a red shirt throws a ball.", 6, "A boy wearing a red shirt."),
        ("A dog sits. It is brown and likes balls.", 7, "A dog sits."),
        ("A dog on the left, a cat on the right.", 6, "A dog on the left."),
        ("An old black and white dog runs through snow.", 4, "A dog runs."),
        ("A dog runs after a ball in the grass.", 4, "A dog runs."),
        ("A man does not wear a shirt on the beach.", 4, "A man."),
        ("Two two two two two.", 4, ""),
    ],
)
def test_shorter_ends_where_a_phrase_does(sentence: str, most: int, short: str) -> None:
    assert shortened(sentence, most) == short


@given(said.map(tidy), st.integers(4, 20))
def test_shorter_is_short_and_ends_well(sentence: str, most: int) -> None:
    short = shortened(sentence, most)
    words = short.split()
    assert len(words) <= most
    if short and short != sentence:
        assert bare(words[-1]) not in FUNCTION_WORDS
        assert short[-1] in ".!?"
        assert len(words) > 1


@pytest.mark.parametrize(
    ("sentence", "short"),
    [
        ("A brown dog is jumping into a pool.", "Brown dog jumping into pool"),
        ("A man in a red shirt is standing on a rock by the sea.", "Man in red shirt standing"),
        ("A woman holding her baby.", "Woman holding baby"),
        ("A man without a shirt is not in the pool today.", "Man without shirt"),
        ("A group of people that are standing.", "Group of people standing"),
        ("An older man stands outside an old boarded up house.", "Older man stands"),
        ("There is a dog. It is brown.", "Dog"),
        ("There are two dogs!", "Two dogs!"),
        ("The.", ""),
        ("", ""),
    ],
)
def test_a_title_is_what_people_would_write(sentence: str, short: str) -> None:
    assert title(sentence) == short


@given(said.map(tidy))
def test_a_title_is_short_and_has_no_full_stop(sentence: str) -> None:
    words = title(sentence).split()
    assert len(words) <= TITLE_WORDS
    assert not title(sentence).endswith(".")
    assert ARTICLES.isdisjoint(map(bare, words))


def test_what_says_the_same_has_one_essence() -> None:
    assert essence("A dog, in the snow.") == essence("The dog in snow") != essence("A cat in snow.")


def test_articles_go_with_the_next_word() -> None:
    words = "A old unicorn an umbrella an university a hour an one-eyed an useful an european a unusual an".split()
    assert " ".join(with_articles(words)) == (
        "An old unicorn an umbrella a university an hour a one-eyed a useful a european an unusual a"
    )


@pytest.mark.parametrize(
    ("one", "many"),
    [
        ("dog", "dogs"),
        ("woman.", "women."),
        ("human", "humans"),
        ("person,", "people,"),
        ("puppy", "puppies"),
        ("boy", "boys"),
        ("bus", "buses"),
        ("sheep", "sheep"),
    ],
)
def test_plurals(one: str, many: str) -> None:
    assert plural(one) == many


@pytest.mark.parametrize(
    ("text", "most", "kept"),
    [
        ("Ein Mann lehnt sich an eine Wand.", TITLE_WORDS, "Ein Mann lehnt sich an eine."),
        ("Un homme a un chien.", TITLE_WORDS, "Un homme a un chien."),
        ("Ein Hund, der an Land will.", 2, "Ein Hund."),
        ("", TITLE_WORDS, ""),
    ],
)
def test_the_first_words_of_any_language(text: str, most: int, kept: str) -> None:
    assert first_words(text, most) == kept
