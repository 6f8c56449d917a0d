# SPDX-License-Identifier: Apache-2.0
"""What people read: for each picture its captions, its tags and its lines of text with scores."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from imagier_client.errors import ImagierClientError
from imagier_client.languages import primary
from imagier_client.messages import Annotation, CaptionResult, TagsResult, TextResult


def picture(path: Path, annotation: Annotation, languages: Sequence[str]) -> RenderableType:
    """The picture's name and size, its captions and title, its tags with a column for each language, its lines of text."""
    heading = Text.assemble(
        (printable(str(path)), "bold"), (f"  {annotation.width} x {annotation.height}", "dim"), overflow="fold"
    )
    parts: list[RenderableType] = [heading]
    wide = len("  caption" if annotation.caption is not None else "  text")
    if annotation.caption is not None:
        said = annotation.caption.captions
        rows = [[f"{caption.text} (a guess)" if caption.guess else caption.text] for caption in said]
        captions = _task("caption", rows, [caption.score for caption in said], annotation.caption, wide)
        if annotation.caption.title:
            captions.add_row("  title", "", Text(printable(annotation.caption.title)))
        parts.append(captions)
    if annotation.tags is not None:
        spoken = ["en" if language in annotation.tags.unknown_languages else language for language in languages]
        columns = list(dict.fromkeys(primary(language) for language in spoken or ["en"]))
        names = [[tag.names.get(language, "") for language in columns] for tag in annotation.tags.tags]
        # A name is better than none.
        rows = [row if any(row) else [tag.name] for row, tag in zip(names, annotation.tags.tags, strict=True)]
        parts.append(_task("tag", rows, [tag.score for tag in annotation.tags.tags], annotation.tags, wide))
    if annotation.text is not None:
        lines = annotation.text.lines
        parts.append(
            _task("text", [[line.text] for line in lines], [line.confidence for line in lines], annotation.text, wide)
        )
    return Group(*parts, "")


def failure(path: Path, error: ImagierClientError, task: str = "") -> Text:
    """The line for a picture, or one of its tasks, that failed."""
    name = (printable(str(path)), "bold")
    return Text.assemble(name, f": {task}: " if task else ": ", *_failure(error), overflow="fold")


def printable(text: str) -> str:
    """The text without what moves a terminal's cursor or cannot be encoded: controls, marks of direction, broken names."""
    return "".join(c if c.isprintable() or unicodedata.category(c) == "Zs" else _escape(c) for c in text)


def _escape(character: str) -> str:
    # How Python holds a byte of a file name that is not UTF-8.
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return ascii(character)[1:-1]


def _task(
    kind: str,
    rows: Sequence[Sequence[str]],
    scores: Sequence[float],
    result: TagsResult | TextResult | CaptionResult,
    wide: int,
) -> Table:
    """The scores come first: there they stand in one column, whatever follows. `wide` is the column before them."""
    made = Table(box=None, show_header=False, pad_edge=False, padding=(0, 0, 0, 2))
    made.add_column(min_width=wide, style="dim")
    made.add_column(style="green", no_wrap=True)
    for _ in range(max(map(len, rows), default=1)):
        made.add_column(overflow="fold")
    for row, score in zip(rows, scores, strict=True):
        made.add_row(f"  {kind}", f"{score:.2f}", *(Text(printable(cell)) for cell in row))
    if result.error is not None:
        made.add_row(f"  {kind}", Text("--", "dim"), Text.assemble(*_failure(result.error)))
    elif not rows:
        made.add_row(f"  {kind}", Text("--", "dim"), Text("none", "dim"))
    return made


def _failure(error: ImagierClientError) -> tuple[tuple[str, str], tuple[str, str]]:
    reason = error.reason or error.code
    return (printable(error.message), "red"), (f" [{reason}]", "dim")
