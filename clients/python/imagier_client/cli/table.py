# SPDX-License-Identifier: Apache-2.0
"""What people read: for each picture what each task found, with scores."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from imagier_client.errors import ImagierClientError
from imagier_client.messages import Annotation
from imagier_client.tasks.registry import sections
from imagier_client.tasks.shown import Section


def picture(path: Path, annotation: Annotation, languages: Sequence[str]) -> RenderableType:
    """The picture's name and size, then what each task says: its lines, with a column for each language where it has names."""
    heading = Text.assemble(
        (printable(str(path)), "bold"), (f"  {annotation.width} x {annotation.height}", "dim"), overflow="fold"
    )
    shown = list(sections(annotation.results, languages))
    wide = max((len(f"  {section.kind}") for _, _, section in shown), default=0)
    return Group(heading, *(_section(section, result.error, wide) for _, result, section in shown), "")


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


def _section(section: Section, error: ImagierClientError | None, wide: int) -> Table:
    """The scores come first: there they stand in one column, whatever follows. `wide` is the column before them."""
    made = Table(box=None, show_header=False, pad_edge=False, padding=(0, 0, 0, 2))
    made.add_column(min_width=wide, style="dim")
    made.add_column(style="green", no_wrap=True)
    for _ in range(max((len(line.cells) for line in section.lines), default=1)):
        made.add_column(overflow="fold")
    for line in section.lines:
        *cells, last = line.cells
        cells.append(f"{last} ({line.note})" if line.note else last)
        score = "" if line.score is None else f"{line.score:.2f}"
        made.add_row(f"  {line.kind or section.kind}", score, *(Text(printable(cell)) for cell in cells))
    if error is not None:
        made.add_row(f"  {section.kind}", Text("--", "dim"), Text.assemble(*_failure(error)))
    elif not section.lines:
        made.add_row(f"  {section.kind}", Text("--", "dim"), Text(section.none, "dim"))
    return made


def _failure(error: ImagierClientError) -> tuple[tuple[str, str], tuple[str, str]]:
    reason = error.reason or error.code
    return (printable(error.message), "red"), (f" [{reason}]", "dim")
