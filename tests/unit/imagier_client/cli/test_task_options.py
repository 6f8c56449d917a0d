# SPDX-License-Identifier: Apache-2.0
"""Options of the command that tasks declare: named, checked, and handed on by task and field."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

import pytest
import typer
from imagier_client.cli import task_options
from imagier_client.cli.task_options import Given, with_task_options
from imagier_client.tasks import tags
from imagier_client.tasks.flags import Flag
from imagier_client.tasks.task import TaskOptions


@dataclass(frozen=True, slots=True)
class Bars(TaskOptions[Any]):
    task: ClassVar[str] = "bars"
    widest_bar: int | None = None
    share: float | None = None
    kind: str | None = None
    turned: bool = False
    known: tuple[str, ...] = ()


def lines(content: bytes) -> list[str]:
    return content.decode("ascii").split()


FLAGS = (
    Flag("widest_bar", "Pixels.", minimum=1),
    Flag("share", "Of all.", name="--share", minimum=0, maximum=1),
    Flag("kind", "Its name."),
    Flag("turned", "Upside down, too."),
    Flag("known", "A word a line.", read=lines),
)


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """What a command gets of these arguments."""
    monkeypatch.setattr(task_options, "tasks", lambda: {"bars": replace(tags.TASK, options=Bars, flags=FLAGS)})

    @with_task_options
    def count(path: str, given: Given = MappingProxyType({}), often: Annotated[int, typer.Option()] = 1) -> Any:
        return path, given, often

    app = typer.Typer()
    app.command()(count)
    command = typer.main.get_command(app)
    return lambda *arguments: command.main(list(arguments), standalone_mode=False)


def test_what_is_not_given_is_left_to_the_server(ask: Any) -> None:
    unset = {"widest_bar": None, "share": None, "kind": None, "turned": False, "known": ()}
    assert ask("a", "--often", "3") == ("a", {"bars": unset}, 3)


def test_each_flag_sets_its_field_under_its_own_name_or_the_tasks(ask: Any) -> None:
    _, given, _ = ask("a", "--bars-widest-bar", "7", "--share", "0.5", "--bars-kind", "EAN", "--bars-turned")
    assert Bars(**given["bars"]) == Bars(7, 0.5, "EAN", turned=True)


def test_a_flag_that_reads_takes_what_all_its_files_hold(ask: Any, tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"a b")
    (tmp_path / "two").write_bytes(b"c")
    _, given, _ = ask("a", "--bars-known", str(tmp_path / "one"), "--bars-known", str(tmp_path / "two"))
    assert given["bars"]["known"] == ("a", "b", "c")
    (tmp_path / "two").write_bytes(b"\xff")
    for file, said in (("two", "ordinal not in range"), ("three", "three: No such file"), (".", "Is a directory")):
        with pytest.raises(typer.BadParameter, match=said) as caught:
            ask("a", "--bars-known", str(tmp_path / file))
        assert caught.value.param_hint == "'--bars-known'"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("--bars-widest-bar", "0"), "a whole number from 1 is needed"),
        (("--bars-widest-bar", "99999999999"), "a whole number from 1 is needed"),
        (("--share", "2"), "a number from 0 to 1 is needed"),
        (("--share", "nan"), "a number from 0 to 1 is needed"),
    ],
)
def test_a_number_out_of_bounds_is_wrong_usage(ask: Any, wrong: tuple[str, ...], said: str) -> None:
    with pytest.raises(typer.BadParameter, match=said):
        ask("a", *wrong)
