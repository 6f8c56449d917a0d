# SPDX-License-Identifier: Apache-2.0
"""Captions as weak truth for tags: a photograph whose captions say "puppy" shows a dog.

The words are those that people use in captions when the thing is there. A tag is judged by its own words, or by those of the
nearest parent that has some; a tag without words cannot be judged. What captions leave out counts against a tag, so that the
precision measured is a lower bound for things that people need not mention.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

from imagier_server.tasks.tags.vocabulary import Vocabulary

WORDS = {
    "dog": "dog dogs doggy puppy puppies greyhound greyhounds poodle collie terrier terriers husky huskies labrador retriever"
    " retrievers dalmatian rottweiler boxer beagle dachshund pitbull canine canines",
    "cat": "cat cats kitten kittens",
    "horse": "horse horses pony ponies bronco rodeo jockey jockeys",
    "camel": "camel camels",
    "elephant": "elephant elephants",
    "monkey": "monkey monkeys",
    "rabbit": "rabbit rabbits bunny",
    "sheep": "sheep lamb lambs ram",
    "cattle": "cow cows bull bulls cattle calf ox oxen steer",
    "bird": "bird birds duck ducks goose geese pigeon pigeons seagull seagulls gull flamingo flamingos eagle swan swans chicken"
    " chickens parrot parrots falcon hawk owl crane heron pelican pelicans stork penguin penguins rooster turkey",
    "fish": "fish fishes shark goldfish",
    "bicycle": "bike bikes biking bicycle bicycles bicycling bicyclist bicyclists cyclist cyclists cycling cycle biker bikers bmx",
    "motorcycle": "motorcycle motorcycles motorcyclist motorcyclists motorbike motorbikes motocross moped scooter scooters"
    " dirtbike bike bikes biker bikers",
    "car": "car cars taxi taxis jeep van vehicle vehicles automobile racecar racecars suv limousine",
    "truck": "truck trucks pickup vehicle tractor",
    "bus": "bus buses",
    "train": "train trains subway locomotive",
    "boat": "boat boats boating canoe canoes canoeing kayak kayaks kayaking kayaker kayakers sailboat sailboats raft rafts"
    " rafting ship ships rowboat gondola sailing paddle paddles paddling rower rowers",
    "airplane": "airplane airplanes plane planes jet aircraft",
    "sled": "sled sleds sledding sledge sleigh toboggan",
    "ball": "ball balls football basketball baseball soccer volleyball tennis softball golf rugby croquet bowling",
    "racket": "racket rackets racquet tennis badminton",
    "ski": "ski skis skier skiers skiing snowboard snowboarder snowboarders snowboarding",
    "parachute": "parachute parachutes parachuting parasail parasailing paraglider paragliding parachuter",
    "gymnastics": "gymnast gymnasts gymnastics beam bars",
    "swing": "swing swings swinging",
    "playground": "playground slide slides swing swings swinging park",
    "carousel": "carousel merry carnival ride",
    "scuba diver": "diver divers diving scuba snorkel snorkeling snorkeler underwater",
    "baseball player": "baseball softball pitcher batter player players",
    "guitar": "guitar guitars guitarist guitarists",
    "drum": "drum drums drummer drummers drumming",
    "swimsuit": "bikini bikinis swimsuit swimsuits bathing trunks swim swimmer swimmers swimming swimwear",
    "hat": "hat hats cap caps sombrero",
    "helmet": "helmet helmets helmeted",
    "sunglasses": "sunglasses glasses shades goggles",
    "umbrella": "umbrella umbrellas",
    "tent": "tent tents camp camping",
    "bench": "bench benches",
    "chair": "chair chairs seat seats",
    "sofa": "couch couches sofa sofas",
    "fountain": "fountain fountains sprinkler sprinklers",
    "flower": "flower flowers",
    "lake": "lake lakes pond river",
    "mountain": "mountain mountains mountainside mountaintop mountainous peak peaks summit hill hills",
    "cliff": "cliff cliffs rock rocks rocky ledge boulder",
    "beach": "beach beaches shore shoreline seashore coast ocean sea sand sandy surf waves wave",
    "street": "street streets road sidewalk city sign intersection crosswalk",
    "bathtub": "bath bathtub tub",
    "restaurant": "restaurant restaurants cafe diner table dinner eat eating",
    # Wider words: with those of what lies under them, added below.
    "animal": "animal animals deer bear bears lion lions tiger goat goats pig pigs squirrel butterfly insect turtle snake",
    "vehicle": "vehicle vehicles skateboard cart tractor wagon carriage kart",
    "sport": "sport sports game player players team hockey puck gym weights race race athlete athletes boxing wrestling match",
    "musical instrument": "instrument instruments violin piano trumpet saxophone accordion music band musician musicians flute"
    " cello harmonica",
    "landscape": "landscape valley canyon waterfall water scenery field desert snow snowy volcano sunset",
    "architecture": "building buildings bridge tower wall church castle house roof statue monument",
    "furniture": "bed desk table furniture crib bookshelf shelf",
    "food": "food eat eating eats pizza cake fruit bread ice cream apple sandwich meal vegetables",
    "person": "man men woman women boy boys girl girls person people child children kid kids baby player players guy guys lady"
    " couple crowd",
}


def words_of(vocabulary: Vocabulary) -> dict[int, frozenset[str]]:
    """By concept. A wider word has the words of what lies under it too."""
    named = {concept.names["en"]: place for place, concept in enumerate(vocabulary.concepts)}
    own = {named[name]: frozenset(words.split()) for name, words in WORDS.items()}
    return {
        place: frozenset().union(
            *(more for other, more in own.items() if other == place or place in vocabulary.ancestors[other])
        )
        for place in own
    }


def judge(place: int, said: frozenset[str], words: dict[int, frozenset[str]], vocabulary: Vocabulary) -> bool | None:
    """Whether captions that say these words back the tag; `None` if they cannot tell."""
    for concept in (place, *vocabulary.ancestors[place]):
        if concept in words:
            return not words[concept].isdisjoint(said)
    return None


def read(path: Path) -> dict[str, frozenset[str]]:
    """Picture's name → every word of its captions."""
    said: dict[str, set[str]] = {}
    with path.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            said.setdefault(row["image"], set()).update(re.findall("[a-z]+", row["caption"].lower()))
    return {name: frozenset(words) for name, words in said.items()}
