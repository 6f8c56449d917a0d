# SPDX-License-Identifier: Apache-2.0
"""`python benchmarks/tags_plain_pages.py --pictures DIR --captions DIR`: pages of text get no tags, photographs keep theirs.

Pages are drawn (tags_pages.py); photographs are the labelled ones of --pictures, those of Flickr8k in --captions, and the labelled
ones small on plain paper. The constants of `plain_page.py` were chosen on one half of the pictures; the figures are of the other.
"""

from __future__ import annotations

import argparse
import datetime as dt
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from imagier_server.tasks.tags.crops import prepare
from imagier_server.tasks.tags.plain_page import is_plain_page
from imagier_server.tasks.tags.task import TagsTask
from imagier_server.tasks.tags.values import TagsOptions
from PIL import Image
from tags_pages import GROUPS, drawn
from tags_scores import REPOSITORY, RESULTS, Model, decoded, labelled, model, photographs

OUTPUT = RESULTS / "tags_plain_pages.json"
PAGES = 60
SURE = 0.8
SHARES = (0.6, 0.4, 0.25, 0.15)
CANVAS = 900
COLOURS = ((255, 255, 255), (0, 0, 0), (120, 170, 230))


def encoded(picture: Image.Image) -> bytes:
    """As a PNG file."""
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def on_paper(files: Iterable[tuple[str, bytes]], share: float) -> Iterator[tuple[str, bytes]]:
    """Each photograph in the middle of plain paper, its longer side this share of the paper's."""
    for number, (label, file) in enumerate(files):
        picture = Image.open(io.BytesIO(file)).convert("RGB")
        picture.thumbnail((round(CANVAS * share),) * 2)
        paper = Image.new("RGB", (CANVAS, CANVAS), COLOURS[number % len(COLOURS)])
        paper.paste(picture, ((CANVAS - picture.width) // 2, (CANVAS - picture.height) // 2))
        yield label, encoded(paper)


class Measured:
    """Tags of pictures with and without the rule for plain pages."""

    def __init__(self, task: TagsTask, run: Model) -> None:
        self._task, self._run = task, run

    def row(self, files: Iterable[tuple[str, bytes]]) -> dict[str, int]:
        """Counts over pictures, whose names are WordNet ids where a right tag is known."""
        made = dict.fromkeys(
            ("pictures", "taken for pages", "tagged before", "surely before", "tagged", "surely", "right lost"), 0
        )
        for label, file in files:
            pixels = prepare(decoded(file, self._task))["pixels"]
            scores = {"scores": self._run(pixels)}
            before = self._task.finish(scores, TagsOptions(), ("en",)).tags
            after = self._task.finish(scores, TagsOptions(), ("en",), pixels).tags
            right = self._right(label)
            made["pictures"] += 1
            made["taken for pages"] += all(map(is_plain_page, pixels))
            made["tagged before"] += bool(before)
            made["surely before"] += any(tag.score >= SURE for tag in before)
            made["tagged"] += bool(after)
            made["surely"] += any(tag.score >= SURE for tag in after)
            made["right lost"] += len({tag.id for tag in before} & right) - len({tag.id for tag in after} & right)
        return made

    def _right(self, label: str) -> set[str]:
        vocabulary = self._task.vocabulary
        if label not in vocabulary.index:
            return {concept.id for concept in vocabulary.concepts}  # of an unlabelled one every tag may be right
        place = vocabulary.index[label]
        return {vocabulary.concepts[each].id for each in (place, *vocabulary.ancestors[place])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=Path, required=True, metavar="DIR")
    parser.add_argument("--captions", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--chosen-on", action="store_true", help="the figures of the half that the constants were chosen on"
    )
    parser.add_argument("--every", type=int, default=3, help="of Flickr8k's photographs in the half")
    arguments = parser.parse_args()
    half = 0 if arguments.chosen_on else 1
    measured = Measured(TagsTask.load(REPOSITORY), model())
    files = list(labelled(arguments.pictures))[half::2]
    figures = {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "pages": {group: measured.row(("", encoded(page)) for page in drawn(group, PAGES, half)) for group in GROUPS},
        "photographs": {
            "labelled": measured.row(files),
            "Flickr8k": measured.row(photographs(arguments.captions, 2 * arguments.every, half)),
            **{f"labelled, {share:.0%} of plain paper": measured.row(on_paper(files, share)) for share in SHARES},
        },
    }
    print(json.dumps(figures, indent=2))
    if not arguments.chosen_on:
        OUTPUT.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
