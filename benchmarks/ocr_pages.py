# SPDX-License-Identifier: Apache-2.0
"""Pages and signs to read, drawn the same everywhere: fonts out of pinned packages, all chances out of one seed."""

from __future__ import annotations

import functools
import io
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import resources

from ocr_corpus import CODE, MENUS, PROSE, SIGNS
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Colour = tuple[int, int, int]
Corner = tuple[float, float]

# Package, file; all under the SIL Open Font License 1.1.
FONTS = {
    "sans": ("fontpkg_open_sans", "files/OpenSans[wdth,wght].ttf"),
    "serif": ("fontpkg_pt_serif", "files/PT_Serif-Web-Regular.ttf"),
    "italic": ("fontpkg_pt_serif", "files/PT_Serif-Web-Italic.ttf"),
    "mono": ("fontpkg_inconsolata", "files/Inconsolata[wdth,wght].ttf"),
    "narrow": ("fontpkg_barlow_condensed", "files/BarlowCondensed-SemiBold.ttf"),
    "capitals": ("fontpkg_bebas_neue", "files/BebasNeue-Regular.ttf"),
    "hei": ("pylopdf_fonts_zh_cn", "NotoSansSC-Regular.otf"),
    "song": ("pylopdf_fonts_zh_cn", "NotoSerifSC-Regular.otf"),
    "traditional": ("pylopdf_fonts_zh_tw", "NotoSansTC-Regular.otf"),
    "korean": ("pylopdf_fonts_ko", "NotoSansKR-Regular.otf"),
    "noto": ("fontpkg_noto_sans", "files/NotoSans[wdth,wght].ttf"),
    "arabic": ("fontpkg_noto_sans_arabic", "files/NotoSansArabic[wdth,wght].ttf"),
    "hebrew": ("fontpkg_heebo", "files/Heebo[wght].ttf"),
    "thai": ("fontpkg_noto_sans_thai", "files/NotoSansThai[wdth,wght].ttf"),
    "devanagari": ("fontpkg_noto_sans_devanagari", "files/NotoSansDevanagari[wdth,wght].ttf"),
}
PAPERS: tuple[Colour, ...] = ((255, 255, 255), (250, 246, 232), (236, 240, 244), (244, 236, 226))
INKS: tuple[Colour, ...] = ((0, 0, 0), (34, 34, 40), (26, 40, 92), (92, 30, 30), (84, 84, 84))
PLATES: tuple[tuple[Colour, Colour], ...] = (
    ((20, 68, 146), (255, 255, 255)),
    ((0, 104, 70), (255, 255, 255)),
    ((250, 206, 30), (20, 20, 20)),
    ((246, 246, 242), (170, 22, 30)),
    ((178, 28, 36), (255, 246, 230)),
    ((60, 42, 30), (232, 206, 150)),
)


@dataclass(frozen=True, slots=True)
class WrittenLine:
    """A line as it was drawn: its text and four corners in pixels, clockwise from where reading begins."""

    text: str
    corners: tuple[Corner, Corner, Corner, Corner]


@dataclass(frozen=True, slots=True)
class DrawnPage:
    """A picture and what is written in it."""

    name: str
    image: Image.Image
    lines: tuple[WrittenLine, ...]


def pages() -> Iterator[DrawnPage]:
    """Every picture: of each kind some in each language."""
    for kind, count in KINDS.items():
        for language in PROSE:
            for number in range(count):
                name = f"{kind.__name__}-{language}-{number}"
                sheet = _Sheet(random.Random(name), language)
                kind(sheet)
                yield DrawnPage(name, sheet.image, tuple(sheet.lines))


@dataclass
class _Sheet:
    """A page in the making."""

    dice: random.Random
    language: str
    image: Image.Image = field(default_factory=lambda: Image.new("RGB", (1, 1)))
    lines: list[WrittenLine] = field(default_factory=list)

    def write(self, at: Corner, text: str, font: ImageFont.FreeTypeFont, ink: Colour, anchor: str = "la") -> None:
        draw = ImageDraw.Draw(self.image)
        draw.text(at, text, ink, font, anchor)
        left, top, right, bottom = draw.textbbox(at, text, font, anchor)
        self.lines.append(WrittenLine(text, ((left, top), (right, top), (right, bottom), (left, bottom))))

    def font(self, size: int, *latin: str) -> ImageFont.FreeTypeFont:
        return font(self.dice.choice(("hei", "song") if self.language == "zh" else latin), size)

    def blank(self, width: int, height: int) -> Colour:
        """Fresh paper; the ink that goes with it."""
        self.image = Image.new("RGB", (width, height), self.dice.choice(PAPERS))
        return self.dice.choice(INKS)

    def scene(self, width: int, height: int, blur: int) -> None:
        """Something that might be a street, out of focus."""
        self.image = Image.new("RGB", (width, height), self._colour(60, 220))
        draw = ImageDraw.Draw(self.image)
        for _ in range(60):
            x, y, size = self.dice.uniform(0, width), self.dice.uniform(0, height), self.dice.uniform(0.03, 0.2) * width
            shape = self.dice.choice((draw.ellipse, draw.rectangle))
            shape((x - size, y - size, x + size, y + size), fill=self._colour(40, 230))
        self.image = self.image.filter(ImageFilter.GaussianBlur(blur))

    def turn(self, degrees: float) -> None:
        """Turns everything about the middle."""
        paper = self.image.getpixel((2, 2))
        matrix = _rotation(degrees, self.image.size)
        self.image = self.image.transform(
            self.image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC, fillcolor=paper
        )
        back = _rotation(-degrees, self.image.size)
        self.lines = [
            WrittenLine(line.text, tuple(_move(back, corner) for corner in line.corners))  # type: ignore[arg-type]
            for line in self.lines
        ]

    def grain(self, strength: int) -> None:
        """Noise, the same on each channel."""
        width, height = self.image.size
        noise = Image.frombytes("L", self.image.size, self.dice.randbytes(width * height))
        grey = Image.new("L", self.image.size, 128)
        self.image = Image.blend(self.image, Image.merge("RGB", [Image.blend(grey, noise, 0.9)] * 3), strength / 255)

    def compress(self, quality: int) -> None:
        file = io.BytesIO()
        self.image.save(file, "JPEG", quality=quality)
        self.image = Image.open(file).convert("RGB")

    def _colour(self, low: int, high: int) -> Colour:
        return self.dice.randint(low, high), self.dice.randint(low, high), self.dice.randint(low, high)


def book(sheet: _Sheet) -> None:
    """A page of prose, 12 to 40 pixels high, in one column."""
    size = sheet.dice.choice((14, 16, 18, 22, 26, 32, 40))
    ink = sheet.blank(sheet.dice.choice((700, 900, 1240, 1600)), sheet.dice.choice((640, 900, 1200)))
    _fill(sheet, sheet.font(size, "sans", "serif", "italic"), ink)


def scan(sheet: _Sheet) -> None:
    """Prose as a scanner or a telephone sees it: askew, grainy, soft, compressed."""
    size = sheet.dice.choice((22, 26, 32, 40))
    ink = sheet.blank(sheet.dice.choice((1000, 1400, 2300)), sheet.dice.choice((800, 1100, 1700)))
    _fill(sheet, sheet.font(size, "sans", "serif", "narrow"), ink)
    sheet.turn(sheet.dice.uniform(-4, 4))
    sheet.image = sheet.image.filter(ImageFilter.GaussianBlur(sheet.dice.choice((0, 0.6, 1.0))))
    sheet.grain(sheet.dice.choice((8, 20, 40)))
    sheet.compress(sheet.dice.choice((35, 60, 85)))


def sign(sheet: _Sheet) -> None:
    """A plate with one to three lines before something out of focus."""
    width = sheet.dice.choice((640, 900, 1280, 1920))
    height = round(width * sheet.dice.uniform(0.5, 1.1))
    sheet.scene(width, height, round(width / 40))
    plate, ink = sheet.dice.choice(PLATES)
    words = sheet.dice.choice(SIGNS[sheet.language])
    fonts = [sheet.font(1000, "sans", "narrow", "serif")] * len(words)
    room = width * sheet.dice.uniform(0.5, 0.8)
    sizes = [
        min(round(1000 * room / font.getlength(text)), height // (2 * len(words) + 1))
        for font, text in zip(fonts, words, strict=True)
    ]
    tall = sum(sizes) * 1.5
    left, top = (width - room) / 2 - width * 0.05, (height - tall) / 2 - height * 0.03
    ImageDraw.Draw(sheet.image).rounded_rectangle(
        (left, top, width - left, height - top), width // 50, plate, ink, max(2, width // 200)
    )
    y = (height - tall) / 2
    for text, size, font in zip(words, sizes, fonts, strict=True):
        sheet.write((width / 2, y + size * 0.75), text, font.font_variant(size=size), ink, "mm")
        y += size * 1.5
    sheet.turn(sheet.dice.uniform(-8, 8))
    sheet.grain(sheet.dice.choice((0, 10, 20)))
    sheet.compress(85)


def menu(sheet: _Sheet) -> None:
    """A list: names on the left, prices on the right."""
    size = sheet.dice.choice((20, 26, 34))
    ink = sheet.blank(width := size * sheet.dice.randint(18, 30), size * 24)
    font = sheet.font(size, "sans", "serif", "narrow")
    for row, name in enumerate(sheet.dice.sample(MENUS[sheet.language], 8)):
        y = size * (2 + row * 2.4)
        sheet.write((size * 2, y), name, font, ink)
        sheet.write(
            (width - size * 2, y),
            f"{sheet.dice.randint(2, 40)}.{sheet.dice.choice(('00', '50', '90'))}",
            font,
            ink,
            "ra",
        )


def poster(sheet: _Sheet) -> None:
    """Large words and small ones on a busy ground."""
    width, height = sheet.dice.choice(((800, 1200), (1200, 800), (1800, 2400)))
    sheet.scene(width, height, round(width / 80))
    ink = sheet.dice.choice(((255, 255, 255), (255, 240, 120)))
    sheet.image = sheet.image.point(lambda value: value * 0.45)
    y = height * 0.08
    for words in sheet.dice.sample(SIGNS[sheet.language], 3 if height > width else 2):
        for text, share in zip(words, (12, 20, 24), strict=False):
            font = sheet.font(width // share, "sans", "capitals", "serif")
            # One face has no small letters: it shows them as capitals.
            sheet.write((width * 0.07, y), text.upper() if font.getname()[0] == "Bebas Neue" else text, font, ink)
            y += width / share * 1.5
        y += height * 0.03
    sheet.compress(80)


def screen(sheet: _Sheet) -> None:
    """A terminal or an editor: a fixed pitch, light on dark, indented; a comment in the page's language."""
    size = sheet.dice.choice((15, 18, 24))
    sheet.image = Image.new("RGB", (size * 40, size * 26), sheet.dice.choice(((18, 18, 24), (0, 43, 54), (40, 42, 54))))
    ink = sheet.dice.choice(((220, 220, 210), (131, 200, 150), (240, 200, 120)))
    mono = font("mono", size)
    for row, text in enumerate(sheet.dice.sample(CODE, 8)):
        indent = len(text) - len(text.lstrip())
        sheet.write((size * (2 + indent / 2), size * (1.5 + row * 1.7)), text.lstrip(), mono, ink)
    comment = sheet.dice.choice(SIGNS[sheet.language])[0]
    sheet.write((size * 2, size * 18), comment, sheet.font(size, "sans"), (150, 150, 160))


KINDS: dict[Callable[[_Sheet], None], int] = {book: 6, scan: 6, sign: 8, menu: 3, poster: 4, screen: 2}


def _fill(sheet: _Sheet, font: ImageFont.FreeTypeFont, ink: Colour) -> None:
    """Prose from margin to margin until the page is full."""
    size = int(font.size)
    width, height = sheet.image.size
    room, y = width - 4 * size, size * 2.0
    text = " ".join(sheet.dice.sample(PROSE[sheet.language], len(PROSE[sheet.language])))
    # Chinese breaks between any two characters, but no line begins with a stop.
    pieces = list(text.replace(" ", "")) if sheet.language == "zh" else text.split()
    between = "" if sheet.language == "zh" else " "
    while pieces and y + size * 2 < height:
        line = pieces.pop(0)
        while pieces and (font.getlength(line + between + pieces[0]) < room or pieces[0] in "，。：；？！”"):
            line += between + pieces.pop(0)
        sheet.write((2 * size, y), line, font, ink)
        y += size * 1.65


@functools.cache
def font(name: str, size: int, *, shaped: bool = False) -> ImageFont.FreeTypeFont:
    """A face of `FONTS`; `shaped` for scripts whose letters join or stack."""
    package, file = FONTS[name]
    with resources.as_file(resources.files(package) / file) as path:
        # The basic engine is the same in every build of Pillow.
        engine = ImageFont.Layout.RAQM if shaped else ImageFont.Layout.BASIC
        return ImageFont.truetype(io.BytesIO(path.read_bytes()), size, layout_engine=engine)


def _rotation(degrees: float, size: tuple[int, int]) -> tuple[float, ...]:
    """The affine matrix, row by row, of a turn about the middle."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x, y = size[0] / 2, size[1] / 2
    return cosine, sine, x - cosine * x - sine * y, -sine, cosine, y + sine * x - cosine * y


def _move(matrix: tuple[float, ...], corner: Corner) -> Corner:
    a, b, c, d, e, f = matrix
    x, y = corner
    return a * x + b * y + c, d * x + e * y + f
