# SPDX-License-Identifier: Apache-2.0
"""Lines in many languages, drawn: those that the recogniser reads, and those in scripts that it does not. Written for this."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from ocr_pages import DrawnPage, WrittenLine, font
from PIL import Image, ImageDraw, ImageFilter

# Package, file; all under the SIL Open Font License 1.1.
LATIN, GREEK, CYRILLIC, ARABIC, HEBREW, THAI, DEVANAGARI, HANGUL, HAN, JAPANESE = (
    "Latn",
    "Grek",
    "Cyrl",
    "Arab",
    "Hebr",
    "Thai",
    "Deva",
    "Hang",
    "Hani",
    "Jpan",
)
FONTS = {
    LATIN: "noto",
    GREEK: "noto",
    CYRILLIC: "noto",
    ARABIC: "arabic",
    HEBREW: "hebrew",
    THAI: "thai",
    DEVANAGARI: "devanagari",
    HANGUL: "korean",
    JAPANESE: "hei",
}


@dataclass(frozen=True, slots=True)
class Language:
    """A language (BCP 47), its script (ISO 15924), and some lines in it."""

    tag: str
    script: str
    lines: tuple[str, ...]


LANGUAGES = (
    Language(
        "en",
        LATIN,
        (
            "The bakery opens at half past six",
            "Keep the gate closed, please",
            "Grown without haste",
            "Rooms from 45 to 80",
        ),
    ),
    Language(
        "fr",
        LATIN,
        (
            "La boulangerie ouvre à six heures",
            "Fermez la barrière, s'il vous plaît",
            "Forêt brûlée, été dernier",
            "Où êtes-vous né ?",
        ),
    ),
    Language(
        "de",
        LATIN,
        (
            "Die Bäckerei öffnet um halb sieben",
            "Bitte das Tor schließen",
            "Grüße aus dem Süden",
            "Große Straße über Köln",
        ),
    ),
    Language(
        "es",
        LATIN,
        (
            "La panadería abre a las seis y media",
            "¿Dónde está la estación?",
            "Mañana habrá niebla",
            "Cierre la puerta, por favor",
        ),
    ),
    Language(
        "it",
        LATIN,
        ("Il forno apre alle sei e mezza", "Perché no? È già tardi", "Chiudere il cancello", "Città vecchia, lunedì"),
    ),
    Language(
        "pt",
        LATIN,
        ("A padaria abre às seis e meia", "Não há pão amanhã", "Coração da cidade", "Fechem o portão, por favor"),
    ),
    Language(
        "nl",
        LATIN,
        ("De bakker gaat om half zeven open", "Hek sluiten alstublieft", "Vroeg rijpe aardbeien", "Twee keer rechtsaf"),
    ),
    Language(
        "sv", LATIN, ("Bageriet öppnar halv sju", "Stäng grinden är du snäll", "Små gröna äpplen", "Över ån går en bro")
    ),
    Language(
        "da", LATIN, ("Bageriet åbner klokken halv syv", "Luk venligst lågen", "Rødgrød med fløde", "Æbler fra øen")
    ),
    Language(
        "fi",
        LATIN,
        ("Leipomo aukeaa puoli seitsemän", "Sulje portti, ole hyvä", "Tämä yö on pitkä", "Metsässä on hiljaista"),
    ),
    Language(
        "pl",
        LATIN,
        ("Piekarnia otwiera się o szóstej", "Proszę zamykać bramę", "Łąka pod lasem źle śpi", "Żółte jabłka i gęś"),
    ),
    Language(
        "cs",
        LATIN,
        ("Pekárna otevírá v půl sedmé", "Prosím zavírejte vrátka", "Příliš žluté třešně", "Ještě dvě zastávky"),
    ),
    Language(
        "hu",
        LATIN,
        ("A pékség fél hétkor nyit", "Kérjük, csukja be a kaput", "Őszi esőzés, hűvös szél", "Üdvözöljük nálunk"),
    ),
    Language(
        "ro",
        LATIN,
        ("Brutăria se deschide la șase", "Vă rugăm închideți poarta", "Înainte de răsărit", "Două mere și o pâine"),
    ),
    Language(
        "tr",
        LATIN,
        ("Fırın altı buçukta açılıyor", "Lütfen kapıyı kapatın", "Güneşli bir gün için", "Yağmurdan sonra ışık"),
    ),
    Language(
        "hr",
        LATIN,
        ("Pekara se otvara u pola sedam", "Molimo zatvorite vrata", "Žuti cvijet šumske staze", "Ćup meda i čaša vode"),
    ),
    Language(
        "vi",
        LATIN,
        ("Tiệm bánh mở cửa lúc sáu giờ", "Xin vui lòng đóng cổng", "Trời hôm nay rất đẹp", "Hai quả táo và bánh mì"),
    ),
    Language(
        "zh-Hans", HAN, ("面包店六点半开门", "请随手关门", "森林里很安静", "两个苹果和一块面包", "下一站是老码头")
    ),
    Language(
        "zh-Hant", HAN, ("麵包店六點半開門", "請隨手關門", "森林裡很安靜", "兩個蘋果和一塊麵包", "下一站是舊碼頭")
    ),
    Language(
        "ja",
        JAPANESE,
        (
            "パン屋は六時半に開きます",
            "門を閉めてください",
            "森はとても静かです",
            "りんごを二つとパンを一つ",
            "つぎは古い港です",
        ),
    ),
    Language(
        "el",
        GREEK,
        ("Ο φούρνος ανοίγει στις έξι", "Κλείστε την πόρτα παρακαλώ", "Το δάσος είναι ήσυχο", "Δύο μήλα και ψωμί"),
    ),
    Language(
        "ru",
        CYRILLIC,
        ("Пекарня открывается в шесть", "Закрывайте, пожалуйста, калитку", "В лесу очень тихо", "Два яблока и хлеб"),
    ),
    Language(
        "uk",
        CYRILLIC,
        ("Пекарня відчиняється о шостій", "Зачиняйте, будь ласка, хвіртку", "У лісі дуже тихо", "Їжак несе яблуко"),
    ),
    Language("ar", ARABIC, ("يفتح المخبز في السادسة والنصف", "من فضلك أغلق الباب", "الغابة هادئة جدا", "تفاحتان وخبز")),
    Language("he", HEBREW, ("המאפייה נפתחת בשש וחצי", "נא לסגור את השער", "היער שקט מאוד", "שני תפוחים ולחם")),
    Language("th", THAI, ("ร้านขนมปังเปิดหกโมงครึ่ง", "กรุณาปิดประตู", "ป่าเงียบมาก", "แอปเปิ้ลสองลูกกับขนมปัง")),
    Language("hi", DEVANAGARI, ("बेकरी साढ़े छह बजे खुलती है", "कृपया दरवाज़ा बंद करें", "जंगल बहुत शांत है", "दो सेब और रोटी")),
    Language(
        "ko", HANGUL, ("빵집은 여섯 시 반에 엽니다", "문을 닫아 주세요", "숲은 아주 조용합니다", "사과 두 개와 빵")
    ),
)

READ = {LATIN, HAN, JAPANESE}
"""Scripts that the recogniser reads, as the catalogue says."""


@dataclass(frozen=True, slots=True)
class Wear:
    """A page style: letters of `size` pixels, blur, noise, ink darkness (0 is black) on white."""

    name: str
    size: int
    blur: float = 0.0
    noise: int = 0
    ink: int = 20


WEARS = (
    Wear("clean", 32),
    Wear("small", 11),
    Wear("soft", 26, blur=2.2),
    Wear("blurred", 26, blur=3.4),
    Wear("faint", 26, noise=70, ink=200),
    Wear("grainy", 22, noise=150, ink=90),
    Wear("tiny", 7),
)


def language_pages(language: Language) -> Iterator[tuple[Wear, DrawnPage]]:
    """The language's lines, once for each wear."""
    name = FONTS.get(language.script) or {"zh-Hans": "hei", "zh-Hant": "traditional"}[language.tag]
    for wear in WEARS:
        face = font(name, wear.size, shaped=language.script in {ARABIC, HEBREW, THAI, DEVANAGARI})
        image = Image.new("RGB", (wear.size * 24, wear.size * (2 + 2 * len(language.lines))), "white")
        draw = ImageDraw.Draw(image)
        lines = []
        for row, text in enumerate(language.lines):
            at = (wear.size, wear.size * (1 + 2 * row))
            draw.text(at, text, (wear.ink,) * 3, face)
            left, top, right, bottom = draw.textbbox(at, text, face)
            lines.append(WrittenLine(text, ((left, top), (right, top), (right, bottom), (left, bottom))))
        if wear.blur:
            image = image.filter(ImageFilter.GaussianBlur(wear.blur))
        if wear.noise:
            dice = np.random.default_rng(zlib.crc32(f"{language.tag} {wear.name}".encode()))
            grain = dice.normal(0, wear.noise / 2, (image.height, image.width, 1))
            image = Image.fromarray(np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8))
        yield wear, DrawnPage(f"{language.tag}-{wear.name}", image, tuple(lines))
