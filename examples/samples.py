# SPDX-License-Identifier: Apache-2.0
"""Three pictures with text to try the service on, drawn with Pillow: a street sign, a receipt, and a tea house in three scripts."""

from __future__ import annotations

import random
from collections.abc import Sequence

from imagier_client.drawing.fonts import font_for
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

SIZE = (900, 1200)
_FINE = 2  # drawn twice as large and shrunk: round edges without steps
_SEED = 7
_Colour = tuple[int, int, int]


def street_sign() -> Image.Image:
    """Two blue street signs and a parking plate on a post, before trees and an evening sky."""
    dice = random.Random(_SEED)  # noqa: S311 - leaves, not secrets
    picture = _shade((108, 156, 214), (250, 226, 196))
    draw = ImageDraw.Draw(picture)
    for height, colour in ((760, (126, 150, 148)), (840, (88, 122, 96)), (930, (58, 92, 62))):
        for _ in range(70):
            x, radius = dice.uniform(-60, 960), dice.uniform(30, 95)
            y = height + dice.uniform(-35, 90)
            tone = dice.uniform(0.85, 1.15)
            _ellipse(draw, (x, y), radius, _times(colour, tone))
        draw.rectangle(_box(0, height + 40, 900, 1200), fill=colour)
    draw.rectangle(_box(0, 1080, 900, 1200), fill=(118, 112, 106))
    draw.rectangle(_box(0, 1072, 900, 1084), fill=(158, 152, 144))
    picture = picture.filter(ImageFilter.GaussianBlur(7 * _FINE))
    _post(picture)
    _plate(picture, (60, 150, 780, 200), (20, 68, 146), ("Rue des Lilas", 92), ("12e arrondissement", 40))
    _plate(picture, (120, 400, 660, 130), (20, 68, 146), ("Quai Voltaire", 82))
    _plate(picture, (240, 580, 420, 220), (244, 244, 240), ("PARKING", 74), ("8:00 - 20:00", 52), ink=(34, 38, 46))
    return _finish(picture, dice)


def receipt() -> Image.Image:
    """A bookshop café's receipt, slightly askew on a wooden table."""
    dice = random.Random(_SEED)  # noqa: S311
    table = _wood(dice)
    paper = Image.new("RGB", (560 * _FINE, 1080 * _FINE), (250, 248, 242))
    draw = ImageDraw.Draw(paper)
    ink = (44, 44, 52)
    for y, text, size in (
        (44, "THE CORNER BOOKSHOP", 40),
        (98, "14 Market Street, Bristol", 26),
        (134, "Tel. 0117 496 0832", 26),
    ):
        draw.text(_at(280, y), text, ink, _font(size), anchor="ma")
    _dashes(draw, 188)
    draw.text(_at(40, 206), "12/03/2026  14:32", ink, _font(26))
    draw.text(_at(520, 206), "Till 2", ink, _font(26), anchor="ra")
    _dashes(draw, 252)
    rows = (
        ("Paperback novel", "8.99"),
        ("City map", "5.50"),
        ("Notebook A5", "4.25"),
        ("2 x Postcard", "1.80"),
        ("Flat white", "3.40"),
        ("Carrot cake", "3.95"),
        ("Gift wrapping", "2.00"),
    )
    bottom = _rows(draw, 280, rows, 30, ink)
    _dashes(draw, bottom + 8)
    bottom = _rows(draw, bottom + 30, (("Subtotal", "29.89"), ("Member discount", "-1.50")), 28, ink)
    bottom = _rows(draw, bottom + 6, (("TOTAL", "28.39"),), 46, ink)
    bottom = _rows(draw, bottom + 8, (("Card payment", "28.39"), ("VAT included", "1.41")), 28, ink)
    _dashes(draw, bottom + 8)
    draw.text(_at(280, bottom + 32), "Thank you, see you soon!", ink, _font(30), anchor="ma")
    _bars(draw, dice, bottom + 92)
    _lay(table, paper, 1.6, (450, 600))
    return _finish(table, dice)


def tea_house() -> Image.Image:
    """A tea house at dusk: a board across, two banners that are read downwards, and a tilted price list.

    Raises ValueError if no font here has Chinese and Japanese characters: the extra `drawing` brings one.
    """
    dice = random.Random(_SEED)  # noqa: S311
    picture = _shade((44, 48, 78), (196, 122, 88))
    draw = ImageDraw.Draw(picture)
    draw.rectangle(_box(40, 250, 860, 1110), fill=(86, 58, 44))
    for x in range(40, 861, 82):
        draw.rectangle(_box(x, 250, x + 10, 1110), fill=(58, 38, 30))
    draw.rectangle(_box(0, 1110, 900, 1200), fill=(70, 66, 68))
    glow = Image.new("L", picture.size)
    for x in (330, 450, 570):
        ImageDraw.Draw(glow).ellipse(_box(x - 74, 271, x + 74, 419), 130)
    picture.paste((255, 196, 120), mask=glow.filter(ImageFilter.GaussianBlur(26 * _FINE)))
    for x in (330, 450, 570):
        draw.ellipse(_box(x - 36, 296, x + 36, 394), fill=(206, 58, 40), outline=(120, 24, 20), width=3 * _FINE)
        draw.rectangle(_box(x - 16, 288, x + 16, 300), fill=(40, 28, 26))
        draw.rectangle(_box(x - 16, 390, x + 16, 402), fill=(40, 28, 26))
    _plate(picture, (70, 90, 760, 150), (34, 26, 24), ("京都茶屋 TEA HOUSE", 66), ink=(238, 202, 120))
    _banner(picture, (90, 300), "抹茶と和菓子", (244, 238, 222), (46, 52, 40))
    _banner(picture, (680, 300), "欢迎光临喝茶", (168, 34, 36), (252, 244, 226))
    paper = Image.new("RGB", (330 * _FINE, 350 * _FINE), (250, 246, 234))
    ink, face = (52, 40, 36), ImageDraw.Draw(paper)
    face.text(_at(165, 30), "OPEN 10:00 - 21:00", ink, _font(30), anchor="ma")
    _rows(
        face, 110, (("Matcha", "6.50"), ("Oolong", "4.20"), ("Jasmine", "3.90"), ("Mochi", "2.80")), 36, ink, (36, 294)
    )
    _lay(picture, paper, -7, (450, 690))
    return _finish(picture, dice)


def _banner(picture: Image.Image, place: tuple[int, int], text: str, cloth: _Colour, ink: _Colour) -> None:
    """A banner of `cloth` at `place` (left, top) whose characters stand one below the other."""
    left, top = place
    draw = ImageDraw.Draw(picture)
    height = 108 * len(text) + 40
    draw.rectangle(_box(left - 14, top - 14, left + 144, top), fill=(40, 28, 26))
    draw.rectangle(_box(left, top, left + 130, top + height), fill=cloth)
    font = font_for(text, 92 * _FINE)
    if font is None:
        raise ValueError("no font here has Chinese and Japanese characters: pip install 'imagier[drawing]'")
    for number, character in enumerate(text):
        draw.text(_at(left + 65, top + 74 + 108 * number), character, ink, font, anchor="mm")


def _finish(picture: Image.Image, dice: random.Random) -> Image.Image:
    """A camera's softness and grain."""
    grain = Image.frombytes("L", SIZE, dice.randbytes(SIZE[0] * SIZE[1])).point(lambda value: 118 + value * 20 // 255)
    grain = grain.filter(ImageFilter.GaussianBlur(0.6)).convert("RGB")
    return ImageChops.add(picture.resize(SIZE, Image.Resampling.LANCZOS), grain, offset=-128)


def _post(picture: Image.Image) -> None:
    """A round metal post: light in the middle, dark at its edges."""
    draw = ImageDraw.Draw(picture)
    for x in range(-17, 18):
        light = 1.1 - abs(x + 5) / 22
        draw.rectangle(_box(450 + x, 96, 451 + x, 1200), fill=_times((150, 154, 160), light))
    draw.ellipse(_box(433, 84, 468, 110), fill=(176, 180, 186))


def _plate(
    picture: Image.Image,
    place: tuple[int, int, int, int],
    colour: _Colour,
    *lines: tuple[str, int],
    ink: _Colour = (252, 252, 250),
) -> None:
    """A plate at `place` (left, top, width, height) with a border, two screws, its shadow on the post and `lines` (text, size)."""
    left, top, width, height = place
    shadow = Image.new("L", picture.size)
    ImageDraw.Draw(shadow).rounded_rectangle(
        _box(left + 5, top + 9, left + width + 5, top + height + 9), 16 * _FINE, 110
    )
    picture.paste((24, 26, 30), mask=shadow.filter(ImageFilter.GaussianBlur(9 * _FINE)))
    plate = Image.new("RGB", (width * _FINE, height * _FINE), colour)
    draw = ImageDraw.Draw(plate)
    for y in range(height * _FINE):  # enamel catches the sky
        draw.line((0, y, width * _FINE, y), fill=_times(colour, 1.12 - 0.2 * y / (height * _FINE)))
    draw.rounded_rectangle(_box(8, 8, width - 8, height - 8), 12 * _FINE, outline=ink, width=4 * _FINE)
    for x in (24, width - 24):
        draw.ellipse(_box(x - 5, height / 2 - 5, x + 5, height / 2 + 5), fill=(150, 152, 156), outline=(70, 72, 78))
    gap = (height - sum(size for _, size in lines)) / (len(lines) + 1)
    top_of_line = gap
    for text, size in lines:
        middle = _at(width / 2, top_of_line + size / 2)
        font = _font(size) if text.isascii() else font_for(text, size * _FINE)
        draw.text(middle, text, ink, font, anchor="mm", stroke_width=_FINE, stroke_fill=ink)
        top_of_line += size + gap
    outline = Image.new("L", plate.size)
    ImageDraw.Draw(outline).rounded_rectangle((0, 0, plate.width - 1, plate.height - 1), 16 * _FINE, 255)
    picture.paste(plate, (left * _FINE, top * _FINE), outline)


def _wood(dice: random.Random) -> Image.Image:
    """Five planks, each with its own grain."""
    width, height = SIZE[0] * _FINE, SIZE[1] * _FINE
    table = Image.new("RGB", (width, height))
    plank = width // 5
    for left in range(0, width, plank):
        colour = _times((142, 98, 62), dice.uniform(0.88, 1.1))
        board = Image.new("RGB", (plank, height), colour)
        draw = ImageDraw.Draw(board)
        for _ in range(90):
            x, bend = dice.uniform(0, plank), dice.uniform(-30, 30)
            points = [(x + bend * (y / height) ** 2, y) for y in range(0, height + 1, 80)]
            draw.line(points, fill=_times(colour, dice.uniform(0.8, 1.12)), width=dice.randint(1, 5))
        board = board.filter(ImageFilter.GaussianBlur(1.5))
        ImageDraw.Draw(board).line((0, 0, 0, height), fill=_times(colour, 0.4), width=5)
        table.paste(board, (left, 0))
    return table


def _lay(table: Image.Image, paper: Image.Image, angle: float, middle: tuple[int, int]) -> None:
    """Lays `paper` on the table around `middle`, turned by `angle` degrees, with its shadow and a fold across."""
    fold = Image.new("L", paper.size, 255)
    draw = ImageDraw.Draw(fold)
    for offset in range(-40, 41):
        shade = 255 - max(0, 26 - abs(offset)) if offset > 0 else 255 - max(0, 12 - abs(offset))
        draw.line((0, paper.height * 0.47 + offset, paper.width, paper.height * 0.47 + offset), fill=shade)
    paper = ImageChops.multiply(paper, fold.convert("RGB"))
    turned = paper.rotate(angle, Image.Resampling.BICUBIC, expand=True)
    mask = Image.new("L", paper.size, 255).rotate(angle, Image.Resampling.BICUBIC, expand=True)
    left, top = middle[0] * _FINE - turned.width // 2, middle[1] * _FINE - turned.height // 2
    shadow = Image.new("L", table.size)
    shadow.paste(150, (left + 14, top + 20), mask)
    table.paste((18, 12, 8), mask=shadow.filter(ImageFilter.GaussianBlur(16 * _FINE)))
    table.paste(turned, (left, top), mask)


def _rows(
    draw: ImageDraw.ImageDraw,
    top: float,
    rows: Sequence[tuple[str, str]],
    size: int,
    ink: _Colour,
    sides: tuple[int, int] = (40, 520),
) -> float:
    """Names on the left, prices on the right; where the next row would begin."""
    for name, price in rows:
        draw.text(_at(sides[0], top), name, ink, _font(size))
        draw.text(_at(sides[1], top), price, ink, _font(size), anchor="ra")
        top += size * 1.4
    return top


def _dashes(draw: ImageDraw.ImageDraw, y: float) -> None:
    for x in range(40, 520, 16):
        draw.line((*_at(x, y), *_at(x + 9, y)), fill=(120, 120, 126), width=2 * _FINE)


def _bars(draw: ImageDraw.ImageDraw, dice: random.Random, top: float) -> None:
    x = 130.0
    while x < 424:
        width = dice.choice((2, 2, 4, 6))
        draw.rectangle(_box(x, top, x + width, top + 74), fill=(40, 40, 46))
        x += width + dice.choice((3, 5, 7))


def _shade(above: _Colour, below: _Colour) -> Image.Image:
    """A picture whose colour runs from `above` to `below`."""
    mask = Image.linear_gradient("L").resize((SIZE[0] * _FINE, SIZE[1] * _FINE))
    return Image.composite(Image.new("RGB", mask.size, below), Image.new("RGB", mask.size, above), mask)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size * _FINE)


def _at(x: float, y: float) -> tuple[float, float]:
    return x * _FINE, y * _FINE


def _box(left: float, top: float, right: float, bottom: float) -> tuple[float, float, float, float]:
    return left * _FINE, top * _FINE, right * _FINE, bottom * _FINE


def _ellipse(draw: ImageDraw.ImageDraw, middle: tuple[float, float], radius: float, colour: _Colour) -> None:
    x, y = middle
    draw.ellipse(_box(x - radius, y - radius, x + radius, y + radius), fill=colour)


def _times(colour: _Colour, light: float) -> _Colour:
    red, green, blue = (min(255, max(0, round(part * light))) for part in colour)
    return red, green, blue
