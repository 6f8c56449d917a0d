# SPDX-License-Identifier: Apache-2.0
"""Where the command writes: answers to standard output, everything else to standard error, a progress bar on terminals only."""

from __future__ import annotations

import io
import json
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.status import Status
from rich.text import Text

from imagier_client.cli import jsonl, table
from imagier_client.errors import ImagierClientError
from imagier_client.messages import Annotation
from imagier_client.tasks.registry import tasks
from imagier_client.window import Waiting

_ANY_WIDTH = 10_000  # what is not a terminal has no width; lines are not broken


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leaves it to the command to end: rich would exit from here, past everything that is still open."""
        raise BrokenPipeError


class Printer:
    """Prints the answers of one run; as a context manager it shows progress."""

    def __init__(self, style: str, languages: Sequence[str]) -> None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            if style == "table":
                sys.stdout.reconfigure(errors="backslashreplace")
            else:
                # Names of files come out as the bytes they are.
                sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
        self._style = style
        self._languages = languages
        self._noted: set[str] = set()
        self._out = _console(stderr=False)
        self._err = _console(stderr=True)
        if self._out.is_terminal and self._err.is_terminal:
            # One screen: what goes past the console that owns the bar would tear it.
            self._err = self._out
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self._err,
            transient=True,
            disable=not self._err.is_terminal,
        )
        self._status: Status | None = None
        self._waits = False
        self._task = self._progress.add_task("annotating", total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def print(self, path: Path, outcome: Annotation | ImagierClientError) -> None:
        """Prints one picture's answer, and what failed of it on standard error too."""
        if self._style == "jsonl":
            self._out.out(jsonl.to_line(path, outcome), highlight=False)
        elif self._style == "table" and isinstance(outcome, Annotation):
            self._out.print(table.picture(path, outcome, self._languages))
        for text in notes(outcome):
            if text not in self._noted:
                self._noted.add(text)
                self.note(text)
        for task, error in failures(outcome):
            # One screen has it already, in the table.
            if not task or self._style != "table" or self._err is not self._out:
                self._err.print(table.failure(path, error, task), soft_wrap=True)
        self._progress.update(self._task, advance=1, description="annotating")
        self._waits = False

    def known(self, total: int | None) -> None:
        """How many pictures there are, None as long as folders are being searched."""
        self._progress.update(self._task, total=total)

    def waits(self, waiting: Waiting) -> None:
        """The run stands still until the server can go on: said on the bar, and in a line that stays the first time."""
        why = f"waiting for the server ({waiting.error.reason or waiting.error.code})"
        self._progress.update(self._task, description=f"{why}, {waiting.elapsed:.0f} s of {waiting.patience:.0f}")
        if not self._waits:
            self._waits = True
            self.note(f"{why}: {waiting.error}; for at most {waiting.patience:.0f} s")

    def wrote(self, path: Path | None) -> None:
        """The name of a file that was written, if it was one."""
        if path is not None:
            name = str(path)
            # One a line: as the bytes they are for other programs, but for what would break the line.
            broken = self._out.is_terminal or any(unicodedata.category(character) == "Cc" for character in name)
            self._out.out(table.printable(name) if broken else name, highlight=False)

    def starting(self, line: str) -> None:
        """A line that a starting server says: its progress in one place on a terminal, anything graver as a note that stays."""
        level, text = _said(line)
        if level != "info" or not self._err.is_terminal:
            self.note(text)
        elif self._status is None:
            self._status = self._err.status(Text(table.printable(text), "dim"))
            self._status.start()
        else:
            self._status.update(Text(table.printable(text), "dim"))

    def started(self) -> None:
        """The server is ready, or will never be."""
        if self._status is not None:
            self._status.stop()

    def note(self, text: str) -> None:
        """A line about the run itself."""
        self._err.print(Text(table.printable(text), "dim"), soft_wrap=True)


def failures(outcome: Annotation | ImagierClientError) -> list[tuple[str, ImagierClientError]]:
    """What failed, with the task's name: some of the tasks, or the whole picture ("")."""
    if isinstance(outcome, ImagierClientError):
        return [("", outcome)]
    return [(task, result.error) for task, result in outcome.results.items() if result.error is not None]


def notes(outcome: Annotation | ImagierClientError) -> list[str]:
    """What people should know of an answer, and need to hear only once in a run."""
    if isinstance(outcome, ImagierClientError):
        return []
    made = [note for name, result in outcome.results.items() for note in tasks()[name].notes(result)]
    models = dict.fromkeys(
        model for result in outcome.results.values() for model in result.models if model.research_only
    )
    made += [
        f"{model.name} ({model.version}) is for research and private use only, and so are its answers"
        for model in models
    ]
    return made


def _said(line: str) -> tuple[str, str]:
    """Level and words of a line of the server's log; a line that is none (Python's own last words, say) counts as an error."""
    try:
        record = json.loads(line)
        return record["level"], record.get("progress") or record["event"]
    except (ValueError, TypeError, KeyError):
        return "error", line


def _console(*, stderr: bool) -> Console:
    console = _Console(stderr=stderr, markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = _ANY_WIDTH
    return console
