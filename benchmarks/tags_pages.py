# SPDX-License-Identifier: Apache-2.0
"""Pictures of nothing but text, drawn: what a tagger of photographs has no word for. The same ones everywhere, for one seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from ocr_corpus import PROSE, SIGNS
from ocr_pages import font as face
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Colour = tuple[int, int, int]

LONE = "%&@#?!§Oo08X+=*AaBgRQ8é京茶字の한。,"
PALE = ((255, 255, 255), (250, 248, 240), (244, 244, 246), (238, 232, 213), (255, 249, 196), (227, 242, 253))
DARK = ((0, 0, 0), (18, 18, 18), (30, 30, 46), (13, 17, 23), (39, 40, 34), (0, 43, 54))
INKS = ((0, 0, 0), (33, 37, 41), (60, 60, 67), (20, 60, 140), (150, 20, 20))
LIGHTS = ((255, 255, 255), (230, 230, 230), (200, 210, 220), (248, 248, 242), (255, 176, 0), (120, 220, 120))


def _size(dice: random.Random) -> tuple[int, int]:
    return dice.choice(((640, 480), (480, 640), (1000, 1000), (1240, 1754), (1080, 2340), (1920, 1080), (300, 200)))


def _font(dice: random.Random) -> Callable[[int], ImageFont.FreeTypeFont]:
    """Sans or serif, by size in pixels."""
    return partial(face, dice.choice(("hei", "song")))


def _text(dice: random.Random) -> str:
    return " ".join(dice.sample(PROSE[dice.choice(("en", "fr"))], 6))


def _write(
    canvas: Image.Image,
    box: tuple[int, int, int, int],
    text: str,
    face: ImageFont.FreeTypeFont,
    ink: Colour,
    leading: float = 1.4,
) -> None:
    """The text, wrapped, from the top of the box to its bottom; begun again if there is room."""
    draw, size = ImageDraw.Draw(canvas), int(face.size)
    left, top, right, bottom = box
    x, y = float(left), float(top)
    words = text.split()
    for number in range(4000):
        word = words[number % len(words)]
        wide = face.getlength(word + " ")
        if x + wide > right and x > left:
            x, y = left, y + size * leading
        if y + size > bottom or wide > right - left:
            return
        draw.text((x, y), word, ink, face)
        x += wide


def lone_character(
    dice: random.Random, papers: tuple[Colour, ...] = PALE, inks: tuple[Colour, ...] = INKS
) -> Image.Image:
    """One character, small or as large as the page."""
    font = _font(dice)
    canvas = Image.new("RGB", _size(dice), dice.choice(papers))
    high = round(min(canvas.size) * dice.choice((0.08, 0.2, 0.4, 0.6, 0.8)))
    where = (canvas.width * dice.choice((0.5, 0.5, 0.3)), canvas.height * dice.choice((0.5, 0.5, 0.4)))
    ImageDraw.Draw(canvas).text(where, dice.choice(LONE), dice.choice(inks), font(high), anchor="mm")
    return canvas


def word(dice: random.Random, papers: tuple[Colour, ...] = PALE, inks: tuple[Colour, ...] = INKS) -> Image.Image:
    """A line or two across the page."""
    font = _font(dice)
    canvas = Image.new("RGB", _size(dice), dice.choice(papers))
    lines = dice.choice(SIGNS[dice.choice(("en", "fr", "zh"))])
    ink, draw = dice.choice(inks), ImageDraw.Draw(canvas)
    size = max(10, min(canvas.height // (2 * len(lines) + 1), round(1.5 * canvas.width / max(map(len, lines)))))
    size = round(size * dice.uniform(0.4, 1))
    for number, line in enumerate(lines):
        draw.text(
            (canvas.width / 2, canvas.height / 2 + (number - (len(lines) - 1) / 2) * 1.5 * size),
            line,
            ink,
            font(size),
            anchor="mm",
        )
    return canvas


def paragraphs(dice: random.Random, papers: tuple[Colour, ...] = PALE, inks: tuple[Colour, ...] = INKS) -> Image.Image:
    """A page of prose under a heading, or without one."""
    font = _font(dice)
    canvas = Image.new("RGB", _size(dice), dice.choice(papers))
    width, height = canvas.size
    margin = round(min(width, height) * dice.uniform(0.04, 0.15))
    size = max(9, round(width / dice.uniform(25, 75)))
    ink = dice.choice(inks)
    top = margin
    if dice.random() < 0.5:
        _write(canvas, (margin, top, width - margin, top + 3 * size), _text(dice)[:30], font(2 * size), ink)
        top += 4 * size
    bottom = height - margin if dice.random() < 0.6 else top + round((height - top) * dice.uniform(0.2, 0.7))
    _write(canvas, (margin, top, width - margin, bottom), _text(dice), font(size), ink, dice.uniform(1.2, 1.7))
    return canvas


def receipt(dice: random.Random) -> Image.Image:
    """Things and their prices, a narrow page."""
    font = _font(dice)
    rows = dice.randint(6, 30)
    canvas = Image.new("RGB", (dice.randint(300, 600), rows * 34 + 160), dice.choice(PALE))
    draw, small = ImageDraw.Draw(canvas), font(dice.randint(16, 24))
    words = _text(dice).split()
    draw.text((canvas.width / 2, 30), " ".join(dice.sample(words, 2)).upper(), (30, 30, 30), font(28), anchor="ma")
    for row in range(rows):
        y = 90 + row * 34
        draw.text((20, y), " ".join(dice.sample(words, 2)), (40, 40, 40), small)
        draw.text((canvas.width - 20, y), f"{dice.uniform(0, 99):.2f}", (40, 40, 40), small, anchor="ra")
    return canvas


def screen(dice: random.Random, *, dark: bool = False) -> Image.Image:
    """A screenshot of little text: a bar, rows with switches, a button."""
    font = _font(dice)
    paper = dice.choice(DARK if dark else PALE[:3])
    ink, faint = ((235, 235, 235), (60, 60, 66)) if dark else ((30, 30, 34), (222, 222, 226))
    accent = dice.choice(((0, 122, 255), (76, 175, 80), (103, 58, 183), (229, 57, 53)))
    canvas = Image.new("RGB", dice.choice(((1080, 2340), (1170, 2532), (1920, 1080), (1440, 900))), paper)
    draw, width = ImageDraw.Draw(canvas), canvas.width
    words = _text(dice).split()
    unit = min(canvas.size) // 24
    draw.rectangle((0, 0, width, 3 * unit), fill=dice.choice((accent, faint, paper)))
    draw.text((2 * unit, 1.5 * unit), " ".join(words[:2]), ink, font(unit), anchor="lm")
    for row in range(dice.randint(1, 7)):
        y = (5 + row * 2.6) * unit
        if y > canvas.height - 5 * unit:
            break
        draw.text((2 * unit, y), " ".join(dice.sample(words, 3)), ink, font(round(unit * 0.8)), anchor="lm")
        draw.line((unit, y + 1.3 * unit, width - unit, y + 1.3 * unit), faint)
        if dice.random() < 0.6:
            on = dice.random() < 0.5
            box = (width - 4 * unit, y - 0.6 * unit, width - 2 * unit, y + 0.6 * unit)
            draw.rounded_rectangle(box, 0.6 * unit, accent if on else faint)
            x = box[2] - 0.6 * unit if on else box[0] + 0.6 * unit
            draw.ellipse((x - 0.5 * unit, y - 0.5 * unit, x + 0.5 * unit, y + 0.5 * unit), (255, 255, 255))
    if dice.random() < 0.5:
        box = (4 * unit, canvas.height - 4 * unit, width - 4 * unit, canvas.height - 2 * unit)
        draw.rounded_rectangle(box, unit // 2, accent)
        draw.text((width / 2, canvas.height - 3 * unit), words[0].upper(), (255, 255, 255), font(unit), anchor="mm")
    return canvas


def code(dice: random.Random) -> Image.Image:
    """Lines of a program in colours, on dark or pale."""
    font = _font(dice)
    dark = dice.random() < 0.6
    canvas = Image.new("RGB", dice.choice(((1440, 900), (800, 600), (1000, 1400))), dice.choice(DARK if dark else PALE))
    inks = LIGHTS if dark else INKS
    draw, size = ImageDraw.Draw(canvas), dice.randint(14, 26)
    words = [part.strip(".,;:").lower() for part in _text(dice).split()]
    for row in range(round(canvas.height / (1.5 * size)) - 1):
        x = 2 * size + dice.randint(0, 4) * 2 * size
        for _ in range(dice.randint(0, 7)):
            part = dice.choice(words) + dice.choice((" = ", "(", ") ", ": ", ", ", "."))
            draw.text((x, size + row * 1.5 * size), part, dice.choice(inks), font(size))
            x += font(size).getlength(part)
    return canvas


def table(dice: random.Random) -> Image.Image:
    """Numbers in a grid."""
    font = _font(dice)
    canvas = Image.new("RGB", dice.choice(((1200, 800), (800, 1000))), dice.choice(PALE))
    draw, rows, columns = ImageDraw.Draw(canvas), dice.randint(5, 25), dice.randint(3, 9)
    high, wide = (canvas.height - 40) / rows, (canvas.width - 40) / columns
    for row in range(rows):
        if row == 0 or (row % 2 and dice.random() < 0.3):
            draw.rectangle((20, 20 + row * high, canvas.width - 20, 20 + (row + 1) * high), fill=(226, 232, 240))
        for column in range(columns):
            text, place = f"{dice.uniform(0, 9999):.1f}", (30 + column * wide, 20 + (row + 0.5) * high)
            draw.text(place, text, (40, 40, 40), font(round(min(high * 0.5, wide / 5))), anchor="lm")
    for row in range(rows + 1):
        draw.line((20, 20 + row * high, canvas.width - 20, 20 + row * high), (160, 160, 160))
    return canvas


def blank(dice: random.Random) -> Image.Image:
    """One colour, or nearly."""
    font = _font(dice)
    canvas = Image.new("RGB", _size(dice), dice.choice((*PALE, *DARK, (128, 128, 128), (200, 40, 40), (30, 90, 160))))
    if dice.random() < 0.4:
        ImageDraw.Draw(canvas).text((10, 10), str(dice.randint(1, 99)), (128, 128, 128), font(12))
    return canvas


def line_drawing(dice: random.Random) -> Image.Image:
    """Boxes and circles with names, joined by lines."""
    font = _font(dice)
    canvas = Image.new("RGB", _size(dice), dice.choice(PALE))
    draw, unit = ImageDraw.Draw(canvas), min(canvas.size)
    pen, words = max(2, unit // 200), _text(dice).split()
    places = [
        (dice.uniform(0.1, 0.9) * canvas.width, dice.uniform(0.1, 0.9) * canvas.height)
        for _ in range(dice.randint(2, 8))
    ]
    draw.line(places, (40, 40, 40), pen)
    for x, y in places:
        radius = unit * dice.uniform(0.04, 0.12)
        shape = dice.choice((draw.ellipse, draw.rectangle))
        shape((x - radius, y - radius, x + radius, y + radius), canvas.getpixel((0, 0)), (40, 40, 40), pen)
        draw.text((x, y), dice.choice(words), (40, 40, 40), font(max(9, round(radius / 3))), anchor="mm")
    return canvas


def scanned(dice: random.Random) -> Image.Image:
    """A page of prose as a scanner gives it: a little askew, unevenly lit, noise, JPEG's blocks."""
    page = dice.choice((paragraphs, receipt, word, table))(dice)
    page = page.rotate(dice.uniform(-2, 2), Image.Resampling.BICUBIC, fillcolor=page.getpixel((0, 0)))
    pixels = np.asarray(page.filter(ImageFilter.GaussianBlur(0.7)), np.float32)
    noise = np.random.default_rng(dice.randrange(2**32))
    lit = np.linspace(1, dice.uniform(0.85, 1), pixels.shape[1])[None, :, None] * dice.uniform(0.9, 1)
    pixels = pixels * lit + noise.normal(0, dice.uniform(1, 5), pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


GROUPS: dict[str, Callable[[random.Random], Image.Image]] = {
    "a lone character": lone_character,
    "a word or two": word,
    "prose": paragraphs,
    "a receipt": receipt,
    "a table": table,
    "a lone character, light on dark": lambda dice: lone_character(dice, DARK, LIGHTS),
    "a word or two, light on dark": lambda dice: word(dice, DARK, LIGHTS),
    "prose, light on dark": lambda dice: paragraphs(dice, DARK, LIGHTS),
    "a program": code,
    "a screenshot": screen,
    "a screenshot, dark": lambda dice: screen(dice, dark=True),
    "blank": blank,
    "boxes and lines": line_drawing,
    "scanned": scanned,
}


def drawn(group: str, count: int, seed: int) -> Iterator[Image.Image]:
    """So many pictures of a group."""
    for number in range(count):
        yield GROUPS[group](random.Random(f"{group} {seed} {number}"))
