# SPDX-License-Identifier: Apache-2.0
"""`python benchmarks/retrieval.py --captions DIR`: how well words in three languages, and captions, find photographs.

DIR holds Flickr8k's `images-224.tar` and `captions.csv`; its validation split is read. A real server embeds the photographs and the
texts with whatever model is installed. A photograph shows a thing if at least two of its five captions name it.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import datetime as dt
import json
import re
import tarfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from imagier_client import AsyncClient, Embedding, ImagierClientError
from servers import server

ROOT = Path(__file__).parents[1]
IN_FLIGHT = 4
NAMED = 2
"""Captions that must name a thing."""
RANKS = (1, 5, 10)

THINGS = {
    "ball": (("ball", "ballon", "球"), "ball balls football footballs basketball soccer baseball volleyball"),
    "bicycle": (("bicycle", "vélo", "自行车"), "bicycle bicycles bike bikes"),
    "hat": (("hat", "chapeau", "帽子"), "hat hats cap caps"),
    "surfboard": (("surfboard", "planche de surf", "冲浪板"), "surfboard surfboards surfer surfers surfing surf surfs"),
    "skateboard": (("skateboard", "planche à roulettes", "滑板"), "skateboard skateboards skateboarder skateboarding"),
    "boat": (("boat", "bateau", "船"), "boat boats kayak kayaks canoe canoes raft sailboat kayaker"),
    "helmet": (("helmet", "casque", "头盔"), "helmet helmets"),
    "motorcycle": (("motorcycle", "moto", "摩托车"), "motorcycle motorcycles motorbike motorbikes dirtbike"),
    "ski": (("ski", "ski", "滑雪板"), "ski skis skier skiers skiing"),
    "car": (("car", "voiture", "汽车"), "car cars truck trucks jeep suv automobile"),
}
"""The ten kinds of things that most photographs show, among those that fewer than a tenth do: the word in each language, and how
captions name them."""
LANGUAGES = ("en", "fr", "zh")


def captions_of(file: Path) -> dict[str, list[str]]:
    """The captions of each photograph of the validation split."""
    found: dict[str, list[str]] = defaultdict(list)
    with file.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            if row["split"] == "validation":
                found[row["image"]].append(row["caption"])
    return found


def photographs(archive: Path, names: Mapping[str, object]) -> dict[str, bytes]:
    """Their files by name."""
    with tarfile.open(archive) as files:
        wanted = (member for member in files if Path(member.name).name in names)
        return {Path(member.name).name: files.extractfile(member).read() for member in wanted}


def shows(thing: str, captions: Sequence[str]) -> bool:
    words = set(THINGS[thing][1].split())
    return sum(not words.isdisjoint(re.findall("[a-z]+", caption.lower())) for caption in captions) >= NAMED


def average_precision(scores: np.ndarray, truth: np.ndarray) -> float:
    """The mean, over the right ones, of the share of right ones among those ranked as high."""
    right = truth[np.argsort(-scores, kind="stable")]
    return float((np.cumsum(right)[right] / (np.flatnonzero(right) + 1)).mean())


def recall(ranks: np.ndarray) -> dict[str, float]:
    """The share of queries whose photograph is among the first; `ranks` from 0."""
    return {f"recall@{rank}": round(float((ranks < rank).mean()), 4) for rank in RANKS}


async def embedded(client: AsyncClient, pictures: Mapping[str, bytes]) -> tuple[dict[str, np.ndarray], Any]:
    """The vector of each picture, and their space."""
    found, space = {}, None
    async for name, answer in client.annotate_many(pictures.items(), Embedding(), in_flight=IN_FLIGHT):
        if isinstance(answer, ImagierClientError):
            raise answer
        if answer.embedding.error:
            raise answer.embedding.error
        found[name], space = np.array(answer.embedding.vector.values), answer.embedding.vector.space
    return found, space


async def texts(client: AsyncClient, words: Sequence[str]) -> np.ndarray:
    """The vectors of texts as rows."""
    return np.array([vector.values for vector in (await client.embed_text(words)).vectors])


async def measured(folder: Path, repository: Path) -> dict[str, Any]:
    captions = captions_of(folder / "captions.csv")
    pictures = photographs(folder / "images-224.tar", captions)
    names = sorted(pictures)
    async with server(repository) as (address, _, _), AsyncClient(address, timeout=600) as client:
        vectors, space = await embedded(client, pictures)
        models = {model.name: model.version for model in (await client.catalog()).models if "embedder" in model.name}
        rows = np.stack([vectors[name] for name in names])
        truth = {thing: np.array([shows(thing, captions[name]) for name in names]) for thing in THINGS}
        precision = {}
        for place, language in enumerate(LANGUAGES):
            queries = await texts(client, [words[place] for words, _ in THINGS.values()])
            precision[language] = {
                thing: average_precision(rows @ query, truth[thing])
                for thing, query in zip(THINGS, queries, strict=True)
            }
        queries = await texts(client, [caption for name in names for caption in captions[name]])
        own = np.repeat(np.arange(len(names)), [len(captions[name]) for name in names])
        similar = queries @ rows.T
        ranks = (similar > similar[np.arange(len(own)), own][:, np.newaxis]).sum(axis=1)
    chance = float(np.mean([each.mean() for each in truth.values()]))
    means = {language: float(np.mean(list(each.values()))) for language, each in precision.items()}
    return {
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        "data": "Flickr8k's validation split, squashed to 224 x 224",
        "space": space.name,
        "models": models,
        "photographs": len(names),
        "chance": round(chance, 4),
        "mean average precision": {language: round(mean, 4) for language, mean in means.items()},
        "times chance": {language: round(mean / chance, 1) for language, mean in means.items()},
        "things": {
            thing: {
                "photographs": int(truth[thing].sum()),
                **{language: round(each[thing], 3) for language, each in precision.items()},
            }
            for thing in THINGS
        },
        "captions as queries": {"queries": len(own), **recall(ranks)},
        "chance of recall": {f"recall@{rank}": round(rank / len(names), 4) for rank in RANKS},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--captions", type=Path, required=True, metavar="DIR")
    parser.add_argument("--repository", type=Path, default=ROOT / "model_repository")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "retrieval.json")
    arguments = parser.parse_args()
    figures = asyncio.run(measured(arguments.captions, arguments.repository))
    arguments.out.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n", "utf-8")
    print(json.dumps(figures, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
