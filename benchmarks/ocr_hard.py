# SPDX-License-Identifier: Apache-2.0
"""Reads what is hard, drawn: turned and slanted pages, columns of characters or of prose, tiny and huge pictures; beside RapidOCR.

python benchmarks/ocr_hard.py [--repository DIR] [--out FILE.json] [--only GROUP]
"""

from __future__ import annotations

import argparse
import datetime as dt
import io
import json
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from imagier_server.tasks.ocr.task import OcrTask
from imagier_server.tasks.ocr.values import OcrOptions
from ocr_corpus import PROSE, SIGNS
from ocr_pages import DrawnPage, WrittenLine, font, pages
from ocr_quality import ROOT, InProcess, Read, errors, our_reading, their_reading
from PIL import Image, ImageDraw
from rapidfuzz.distance.Levenshtein import distance as edits
from rapidocr import RapidOCR

PAPER, INK = (250, 248, 240), (24, 24, 30)
JAPANESE = (
    "渡し船は七時十五分に出ます最初の乗客が乗り込むころ港はまだ灰色でした彼女は車掌にこの列車は次の駅に止まりますかと尋ねました"
    "彼は時計を見て首を振りました果樹園の木は四割ほど失われ古い梨の木だけが生き残りました"
)


SCATTERED = {"small print on A4", "panoramas of 12 000 pixels"}
"""Groups whose pages have no one order."""


@dataclass(slots=True)
class Sum:
    """Over a group: characters, and the edits to make them of what was read where it stands, and of the whole in its order."""

    pages: int = 0
    characters: int = 0
    ours: int = 0
    theirs: int = 0
    order: int = 0

    def row(self, name: str) -> dict[str, float | None]:
        return {
            "pages": self.pages,
            "our CER": self.ours / self.characters,
            "RapidOCR's CER": self.theirs / self.characters,
            "our CER, order included": None if name in SCATTERED else self.order / self.characters,
        }


def turned(page: DrawnPage, degrees: float) -> DrawnPage:
    """`page` turned clockwise, on paper large enough."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    width, height = page.image.size
    wide, high = (
        round(abs(width * cosine) + abs(height * sine)),
        round(abs(width * sine) + abs(height * cosine)),
    )

    def move(x: float, y: float) -> tuple[float, float]:
        x, y = x - width / 2, y - height / 2
        return cosine * x - sine * y + wide / 2, sine * x + cosine * y + high / 2

    back = (
        cosine,
        sine,
        (width - cosine * wide - sine * high) / 2,
        -sine,
        cosine,
        (height + sine * wide - cosine * high) / 2,
    )
    image = page.image.transform(
        (wide, high), Image.Transform.AFFINE, back, Image.Resampling.BICUBIC, fillcolor=page.image.getpixel((2, 2))
    )
    lines = tuple(WrittenLine(line.text, tuple(move(*corner) for corner in line.corners)) for line in page.lines)  # type: ignore[arg-type]
    return replace(page, image=image, lines=lines)


def turned_pages() -> Iterator[tuple[str, DrawnPage]]:
    chosen = [page for page in pages() if page.name.endswith("-0")]
    for degrees in (0, 90, 180, 270, -15, 15, 30, 45):
        for page in chosen:
            yield f"turned by {degrees}°", turned(page, degrees)


def vertical_pages() -> Iterator[tuple[str, DrawnPage]]:
    """Chinese and Japanese in columns, from right to left; with a title across."""
    for language, text in (("zh", "".join(c for c in "".join(PROSE["zh"]) if c.isalnum())), ("ja", JAPANESE)):
        for size in (20, 36, 64):
            face, characters = font("hei", size), iter(text)
            image = Image.new("RGB", (size * 14, size * 18), PAPER)
            draw = ImageDraw.Draw(image)
            lines = []
            for column in range(7):
                x, y, said = size * (12.2 - 1.7 * column), size * 2.0, ""
                for character in islice(characters, 12):
                    draw.text((x, y), character, INK, face, "mt")
                    said, y = said + character, y + size * 1.1
                left, right = x - size / 2, x + size / 2
                lines.append(WrittenLine(said, ((right, size * 2), (right, y), (left, y), (left, size * 2))))
            page = DrawnPage(f"{language} {size}", image, tuple(line for line in lines if line.text))
            yield "columns of characters", page
            for degrees in (90, 180, 270):
                yield f"columns of characters, turned by {degrees}°", turned(page, degrees)


def column_pages() -> Iterator[tuple[str, DrawnPage]]:
    """Two columns of prose under a title; a table of three columns."""
    for language in PROSE:
        for size in (18, 28):
            dice = random.Random(f"{language} {size}")
            page = _Paper(size * 60, size * 40)
            page.write(size * 14, size * 2, SIGNS[language][0][0], size * 2, language)
            for column in range(2):
                page.prose((size * (3 + 29 * column), size * 7), size * 25, size, language, dice)
            yield "two columns", page.drawn()
            page = _Paper(size * 60, size * 20)
            for row in range(6):
                for column in range(3):
                    words = (
                        dice.choice(dice.choice(SIGNS[language]))
                        if column == 0
                        else f"{dice.randint(2, 999)}.{column}0"
                    )
                    page.write(size * (3 + 22 * column), size * (2 + 2.6 * row), words, size, language)
            yield "table", page.drawn()


def sized_pages() -> Iterator[tuple[str, DrawnPage]]:
    """Labels of 80 pixels, A4 at 300 dots an inch with print of 10 to 12 pixels, a panorama of 12 000, a strip like a receipt."""
    for number, (width, height, size, words) in enumerate(
        ((80, 30, 12, "Brie 4.50"), (80, 24, 16, "EXIT 24"), (80, 40, 11, "Flour 1 kg"), (120, 20, 10, "Open daily"))
    ):
        page = _Paper(width, height)
        page.write(6, (height - size) / 2 - 2, words, size, "en")
        yield "labels of 80 pixels", replace(page.drawn(), name=f"label {number}")
    for language in ("en", "zh"):
        for size in (10, 12):
            page = _Paper(2480, 3508)
            for block in range(4):
                corner = (250 + 1000 * (block % 2), 300 + 1500 * (block // 2))
                page.prose(corner, 900, size, language, random.Random(block))
            yield "small print on A4", page.drawn()
    for width, height, size in ((12000, 1500, 24), (12000, 800, 16)):
        dice, page = random.Random(width + height), _Paper(width, height)
        for sign in range(10):
            words = dice.choice(dice.choice(SIGNS["en"]))
            page.write(sign * 1180 + dice.randint(10, 300), dice.randint(50, height - 100), words, size, "en")
        yield "panoramas of 12 000 pixels", page.drawn()
    for width, height, size, words in (
        (800, 300, 96, "HARBOUR"),
        (2000, 1500, 380, "HARBOUR"),
        (3000, 2000, 600, "CAFE"),
        (4000, 3000, 700, "MARKET"),
    ):
        page = _Paper(width, height)
        page.write(width * 0.07, height * 0.25, words, size, "en")
        yield "a word that fills its picture", page.drawn()
    page = _Paper(700, 7000)
    for part in range(10):
        page.prose((50, 50 + 680 * part), 580, 22, "en", random.Random(part))
    yield "a strip of 7 000 pixels", page.drawn()


class _Paper:
    """A sheet to write on."""

    def __init__(self, width: int, height: int) -> None:
        self.image = Image.new("RGB", (width, height), PAPER)
        self.lines: list[WrittenLine] = []

    def write(self, x: float, y: float, text: str, size: int, language: str) -> None:
        face, draw = font("hei" if language == "zh" else "sans", size), ImageDraw.Draw(self.image)
        draw.text((x, y), text, INK, face)
        left, top, right, bottom = draw.textbbox((x, y), text, face)
        self.lines.append(WrittenLine(text, ((left, top), (right, top), (right, bottom), (left, bottom))))

    def prose(self, corner: tuple[float, float], width: float, size: int, language: str, dice: random.Random) -> None:
        """Sixteen lines from edge to edge."""
        face = font("hei" if language == "zh" else "sans", size)
        joint = "" if language == "zh" else " "
        text = joint.join(dice.sample(PROSE[language], len(PROSE[language])) * 4)
        pieces, x, y = list(text) if language == "zh" else text.split(), *corner
        for _ in range(16):
            line = pieces.pop(0)
            while face.getlength(line + joint + pieces[0]) < width:
                line += joint + pieces.pop(0)
            self.write(x, y, line, size, language)
            y += size * 1.7

    def drawn(self) -> DrawnPage:
        return DrawnPage("", self.image, tuple(self.lines))


def whole(read: Sequence[Read], written: Sequence[WrittenLine]) -> int:
    """Edits that make what was read, in its order, what was written; blanks do not count."""
    ours, truth = ("".join("".join(line.text for line in lines).split()) for lines in (read, written))
    return edits(ours, truth)


GROUPS = {"turned": turned_pages, "vertical": vertical_pages, "columns": column_pages, "sizes": sized_pages}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", type=Path, default=ROOT / "model_repository")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "ocr_hard.json")
    parser.add_argument("--only", choices=GROUPS, help="one group, printed and not written")
    options = parser.parse_args()
    task, steps = OcrTask.load(options.repository), InProcess(options.repository)
    engine = RapidOCR(params={"Global.log_level": "error"})
    sums: dict[str, Sum] = {}
    for name in [options.only] if options.only else GROUPS:
        for group, page in GROUPS[name]():
            file = io.BytesIO()
            page.image.save(file, "PNG", compress_level=1)
            read = [line for line, _ in our_reading(task, steps, file.getvalue(), OcrOptions())]
            total = sums.setdefault(group, Sum())
            total.pages += 1
            total.characters += sum(len(line.text) for line in page.lines)
            total.ours += errors(read, page.lines)
            total.theirs += errors(their_reading(engine, file.getvalue()), page.lines)
            total.order += whole(read, page.lines)
        for group, total in sums.items():
            print(group, total.row(group), flush=True)
    if not options.only:
        result = {
            "date": dt.datetime.now(dt.UTC).date().isoformat(),
            "groups": {name: each.row(name) for name, each in sums.items()},
        }
        options.out.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
