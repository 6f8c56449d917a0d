# SPDX-License-Identifier: Apache-2.0
"""`python benchmarks/tags_calibration.py --pictures DIR --captions DIR`: what do scores mean, and which are worth a tag?

DIR of --pictures holds `<WordNet id>_<label>.jpg`: the temperature is fitted on them and judged by cross-validation. DIR of
--captions holds Flickr8k's `images-224.tar` and `captions.csv`: ordinary photographs, whose captions are weak truth
(tags_captions.py).
The constants chosen from these figures stand in `model_repository/tagger/assets/calibration.json`.
"""

from __future__ import annotations

import argparse
import datetime as dt
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from imagier_server.tasks.tags.calibration import Calibration
from imagier_server.tasks.tags.task import TagsTask
from imagier_server.tasks.tags.vocabulary import Vocabulary
from tags_captions import judge, read, words_of
from tags_scores import REPOSITORY, RESULTS, centre, decoded, labelled, model, photographs, shown

FOLDS = 5
TEMPERATURES = np.arange(0.3, 1.5, 0.01)
CAPTION_TEMPERATURES = (0.58, 0.62, 0.66, 0.7, 0.74, 0.78, 0.82, 0.9, 1.0)
BINS = 10
THRESHOLDS = (0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7)
GATHERED = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
CLEAR = (0.0, 0.5, 0.6, 0.7, 0.8)
BEFORE = Calibration(temperature=1.0, min_score=0.25, gathered=1 / 3, clear=0.0)
"""The first version: raw probabilities, half for what is spread over many, and every reading above the threshold shown."""


@dataclass(frozen=True)
class Sample:
    """Raw probabilities (pictures, classes), and what is known of each picture: its class, or the words of its captions."""

    probabilities: np.ndarray
    truth: Sequence[int | frozenset[str]]


def fitted(probabilities: np.ndarray, classes: np.ndarray) -> float:
    """The temperature with the least negative log-likelihood."""
    logs = np.log(np.maximum(probabilities.astype(np.float64), 1e-38))

    def loss(temperature: float) -> float:
        scaled = logs / temperature
        return float(np.mean(np.log(np.exp(scaled).sum(-1)) - scaled[np.arange(len(classes)), classes]))

    return float(min(TEMPERATURES, key=loss))


def reliability(pairs: Iterable[tuple[float, bool]]) -> dict[str, object]:
    """(score, right) → mean score and share that is right by bin of score, and the expected calibration error."""
    scores, right = (np.array(column) for column in zip(*pairs, strict=True))
    places = np.minimum((scores * BINS).astype(int), BINS - 1)
    rows, error = [], 0.0
    for place in np.unique(places):
        here = places == place
        score, share = float(scores[here].mean()), float(right[here].mean())
        error += abs(score - share) * here.mean()
        rows.append(
            {"from": place / BINS, "count": int(here.sum()), "score": round(score, 3), "right": round(share, 3)}
        )
    return {"expected_calibration_error": round(float(error), 4), "bins": rows}


def classes_and_parents(
    vocabulary: Vocabulary, probabilities: np.ndarray, labels: Sequence[int]
) -> tuple[list[tuple[float, bool]], list[tuple[float, bool]]]:
    """(score, right) of each picture's best class, and of each wider word that has at least 0.1."""
    best = [(float(row.max()), int(row.argmax()) == label) for row, label in zip(probabilities, labels, strict=True)]
    parents = [
        (float(scores[place]), place in vocabulary.ancestors[label])
        for row, label in zip(probabilities, labels, strict=True)
        for scores in [vocabulary.gather(row)]
        for place in range(vocabulary.classes, len(vocabulary.concepts))
        if scores[place] >= 0.1
    ]
    return best, parents


def cross_validated(task: TagsTask, sample: Sample) -> dict[str, object]:
    """Reliability on pictures that the temperature was not fitted on, beside the raw probabilities'."""
    labels = np.array(sample.truth)
    order = np.random.default_rng(0).permutation(len(labels))
    temperatures, pooled, chosen, raw = [], ([], []), ([], []), ([], [])
    for fold in range(FOLDS):
        held = order[fold::FOLDS]
        kept = np.setdiff1d(order, held)
        temperatures.append(round(fitted(sample.probabilities[kept], labels[kept]), 2))
        constants = ((temperatures[-1], pooled), (task.calibration.temperature, chosen), (1.0, raw))
        for temperature, into in constants:
            sharpened = replace(BEFORE, temperature=temperature).sharpen(sample.probabilities[held])
            for pairs, more in zip(into, classes_and_parents(task.vocabulary, sharpened, labels[held]), strict=True):
                pairs.extend(more)
    return {
        "pictures": len(labels),
        "temperature": round(fitted(sample.probabilities, labels), 2),
        "temperatures_of_the_folds": temperatures,
        "classes": reliability(pooled[0]),
        "parents": reliability(pooled[1]),
        "classes_with_ours": reliability(chosen[0]),
        "parents_with_ours": reliability(chosen[1]),
        "classes_raw": reliability(raw[0]),
        "parents_raw": reliability(raw[1]),
    }


def backed_by_captions(
    vocabulary: Vocabulary,
    sample: Sample,
    words: dict[int, frozenset[str]],
    temperatures: Sequence[float] = CAPTION_TEMPERATURES,
) -> dict[str, dict[str, object]]:
    """By temperature: how often captions back the concepts that they have words for and that score at least 0.3."""
    places = sorted(words)
    backed = np.array([[judge(place, said, words, vocabulary) for place in places] for said in sample.truth])
    tables = {}
    for temperature in temperatures:
        sharpened = replace(BEFORE, temperature=temperature).sharpen(sample.probabilities)
        scores = np.array([vocabulary.gather(row)[places] for row in sharpened])
        seen = scores >= 0.3
        tables[str(temperature)] = reliability(zip(scores[seen].tolist(), backed[seen].tolist(), strict=True))
    return tables


def tags_of(task: TagsTask, sample: Sample) -> list[list[tuple[int, float]]]:
    return [shown(task, row) for row in sample.probabilities]


def judged_by_label(task: TagsTask, sample: Sample) -> dict[str, float]:
    """A tag is right if it is the label or above it: the picture may show other things too, so precision is a lower bound."""
    above = task.vocabulary.ancestors
    answers = tags_of(task, sample)
    right = [
        [place in (label, *above[label]) for place, _ in tags]
        for tags, label in zip(answers, sample.truth, strict=True)
    ]
    named = [any(place == label for place, _ in tags) for tags, label in zip(answers, sample.truth, strict=True)]
    return {
        "precision": mean(itertools.chain(*right)),
        "names_the_class": mean(named),
        "names_it_or_a_parent": mean(map(any, right)),
        "tags": mean(map(len, answers)),
    }


def judged_by_captions(task: TagsTask, sample: Sample, words: dict[int, frozenset[str]]) -> dict[str, float]:
    """`marginal`: of tags at most 0.1 above the threshold; `hunches`: of wider words alone, and of those near what they need."""
    calibration, vocabulary = task.calibration, task.vocabulary
    answers = tags_of(task, sample)
    found, hunches, marginal, marginal_hunches, count = [], [], [], [], 0
    for tags, said in zip(answers, sample.truth, strict=True):
        for place, score in tags:
            count += 1
            backed = judge(place, said, words, vocabulary)
            if backed is None:
                continue
            found.append(backed)
            if score < calibration.min_score + 0.1:
                marginal.append(backed)
            if place >= vocabulary.classes and not any(place in vocabulary.ancestors[other] for other, _ in tags):
                hunches.append(backed)
                if score < calibration.min_score + calibration.gathered * (1 - calibration.min_score) + 0.1:
                    marginal_hunches.append(backed)
    sizes = [len(tags) for tags in answers]
    return {
        "precision": mean(found),
        "judged": round(len(found) / max(1, count), 3),
        "marginal": mean(marginal),
        "hunches": mean(hunches),
        "marginal_hunches": mean(marginal_hunches),
        "tags": mean(sizes),
        "without_tags": mean(size == 0 for size in sizes),
    }


def contradictions(task: TagsTask, sample: Sample, alternatives: frozenset[int]) -> dict[str, float]:
    """Pictures with two tags that are readings of one thing: their nearest common parent is one of alternatives."""
    above = task.vocabulary.ancestors
    pictures, pairs = 0, 0
    for tags in tags_of(task, sample):
        places = [place for place, _ in tags]
        clashes = [
            (one, other)
            for one, other in itertools.combinations(places, 2)
            if one not in above[other] and other not in above[one]
            for common in [next((place for place in (one, *above[one]) if place in above[other]), None)]
            if common in alternatives
        ]
        pairs += len(clashes)
        pictures += bool(clashes)
    return {"pictures": pictures, "share": round(pictures / len(sample.truth), 4), "pairs": pairs}


def mean(values: Iterable[float]) -> float:
    listed = list(values)
    return round(float(np.mean(listed)), 3) if listed else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path, required=True, help="labelled pictures")
    parser.add_argument("--captions", type=Path, required=True, help="Flickr8k's archive and captions")
    parser.add_argument("--every", type=int, default=3, help="every so many photographs of that archive (default: 3)")
    arguments = parser.parse_args()

    task = TagsTask.load(REPOSITORY)
    vocabulary, run = task.vocabulary, model()
    files = list(labelled(arguments.pictures))
    classes = Sample(
        np.concatenate([run(centre(decoded(file, task))) for _, file in files]),
        [vocabulary.index[concept] for concept, _ in files],
    )
    said = read(arguments.captions / "captions.csv")

    def captioned_from(first: int) -> Sample:
        photos = list(photographs(arguments.captions, arguments.every, first))
        return Sample(
            np.concatenate([run(centre(decoded(file, task))) for _, file in photos]), [said[name] for name, _ in photos]
        )

    captioned, unseen = captioned_from(0), captioned_from(1)
    words = words_of(vocabulary)

    def with_constants(**constants: float) -> TagsTask:
        return replace(task, calibration=replace(task.calibration, **constants))

    def both(other: TagsTask) -> dict[str, object]:
        return {"labelled": judged_by_label(other, classes), "captions": judged_by_captions(other, captioned, words)}

    # The rule of the first version shows all alternatives; ours knows them by the vocabulary.
    before = replace(
        task,
        vocabulary=Vocabulary(
            (replace(concept, together=True) for concept in vocabulary.concepts[: vocabulary.classes]),
            (replace(concept, together=True) for concept in vocabulary.concepts[vocabulary.classes :]),
        ),
    )
    alternatives = frozenset(place for place, concept in enumerate(vocabulary.concepts) if not concept.together)
    figures = {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "labelled": f"{len(files)} labelled ImageNet photographs (the sample may overlap the training data)",
        "captioned": f"{len(captioned.truth)} photographs of Flickr8k with five captions each, squashed to 224 x 224",
        "constants": {
            name: getattr(task.calibration, name) for name in ("temperature", "min_score", "gathered", "clear")
        },
        "calibration": cross_validated(task, classes),
        "captions_by_temperature": backed_by_captions(vocabulary, captioned, words),
        "unseen_photographs": {
            "photographs": len(unseen.truth),
            **judged_by_captions(task, unseen, words),
            "reliability": backed_by_captions(vocabulary, unseen, words, (task.calibration.temperature,)),
            "contradictions": contradictions(task, unseen, alternatives),
            "contradictions_of_the_first_version": contradictions(
                replace(before, calibration=BEFORE), unseen, alternatives
            ),
        },
        "first_version": both(replace(before, calibration=BEFORE)),
        "now": both(task),
        "by_threshold": {value: both(with_constants(min_score=value)) for value in THRESHOLDS},
        "by_gathered": {value: both(with_constants(gathered=value)) for value in GATHERED},
        "by_clear": {value: both(with_constants(clear=value)) for value in CLEAR},
        "contradictions": {
            "first_version": contradictions(replace(before, calibration=BEFORE), captioned, alternatives),
            "same_constants_without_the_rule": contradictions(before, captioned, alternatives),
            "now": contradictions(task, captioned, alternatives),
        },
        "tags_of_a_photograph": {
            str(size): round(count / len(captioned.truth), 4)
            for size, count in sorted(Counter(len(tags) for tags in tags_of(task, captioned)).items())
        },
    }
    text = json.dumps(figures, indent=2)
    print(text)
    (RESULTS / "tags_calibration.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
