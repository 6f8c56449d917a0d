# SPDX-License-Identifier: Apache-2.0
"""What people read: for each picture its tags and its lines of text with scores."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from imagier_client.errors import ImagierClientError
from imagier_client.messages import Annotation, TagsResult


def picture(path: Path, annotation: Annotation, languages: Sequence[str]) -> RenderableType:
    """The picture's name and size, its tags with a column for each language, its lines of text."""
    heading = Text.assemble(
        (printable(str(path)), "bold"), (f"  {annotation.width} x {annotation.height}", "dim"), overflow="fold"
    )
    parts: list[RenderableType] = [heading]
    if annotation.tags is not None:
        parts.append(_tags(annotation.tags, languages))
    if annotation.text is not None:
        rows = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        rows.add_column(min_width=6, style="dim")
        rows.add_column(overflow="fold")
        rows.add_column(justify="right", style="green")
        for line in annotation.text.lines:
            rows.add_row("  text", Text(printable(line.text)), f"{line.confidence:.2f}")
        if annotation.text.error is not None:
            rows.add_row("  text", _failure(annotation.text.error), "")
        elif not annotation.text.lines:
            rows.add_row("  text", Text("none", "dim"), "")
        parts.append(rows)
    return Group(*parts, "")


def failure(path: Path, error: ImagierClientError) -> Text:
    """The line for a picture, or one of its tasks, that failed."""
    return Text.assemble((printable(str(path)), "bold"), ": ", _failure(error), overflow="fold")


def printable(text: str) -> str:
    """The text without what moves a terminal's cursor or cannot be encoded: controls, marks of direction, broken names."""
    return "".join(c if c.isprintable() or unicodedata.category(c) == "Zs" else ascii(c)[1:-1] for c in text)


def _tags(result: TagsResult, languages: Sequence[str]) -> Table:
    rows = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    rows.add_column(min_width=6, style="dim")
    columns = [language for language in languages if language not in result.unknown_languages] or ["en"]
    for _ in columns:
        rows.add_column(overflow="fold")
    rows.add_column(justify="right", style="green")
    blank = [""] * (len(columns) - 1)
    for tag in result.tags:
        names = [tag.names.get(language.split("-")[0].lower(), "") for language in columns]
        rows.add_row(
            "  tag",
            *(Text(printable(name)) for name in (names if any(names) else [tag.name, *blank])),
            f"{tag.score:.2f}",
        )
    if result.error is not None:
        rows.add_row("  tag", _failure(result.error), *blank, "")
    elif not result.tags:
        rows.add_row("  tag", Text("none", "dim"), *blank, "")
    return rows


def _failure(error: ImagierClientError) -> Text:
    reason = error.reason or error.code
    return Text.assemble((printable(error.message), "red"), (f" [{reason}]", "dim"))
