# SPDX-License-Identifier: Apache-2.0
"""The options of `imagier annotate` that each task declares in its own module."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import typer

from imagier_client.cli.table import printable
from imagier_client.tasks.flags import Flag
from imagier_client.tasks.registry import tasks
from imagier_client.tasks.task import Task

MOST = 2**31 - 1
METAVARS = {int: "N", float: "X", str: "TEXT"}

Given = Mapping[str, Mapping[str, Any]]
"""The values of the options' fields, by task."""


def with_task_options(command: Callable[..., int]) -> Callable[..., int]:
    """The command with an option for each flag of each task, in place of its parameter `given`, which gets their values."""
    own = inspect.signature(command, eval_str=True)
    flags = {f"{task.name}_{flag.field}": (task, flag) for task in tasks().values() for flag in task.flags}

    def asking(**arguments: Any) -> int:
        given: dict[str, dict[str, Any]] = {}
        for key, (task, flag) in flags.items():
            value = arguments.pop(key)
            if flag.read:
                value = tuple(_entries(task, flag, value or ()))
            given.setdefault(task.name, {})[flag.field] = value
        return command(**arguments, given=given)

    parameters: list[inspect.Parameter] = []
    for parameter in own.parameters.values():
        further = [_parameter(key, *flag) for key, flag in flags.items()]
        parameters += further if parameter.name == "given" else [parameter]
    asking.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    asking.__name__, asking.__doc__ = command.__name__, command.__doc__
    return asking


def expect_asked(given: Given, asked: Collection[str]) -> None:
    """Raises BadParameter for an option of a task that is not asked for: it would do nothing."""
    for task in tasks().values():
        for flag in task.flags:
            value = given.get(task.name, {}).get(flag.field)
            if task.name not in asked and value is not None and value is not False and value != ():
                raise typer.BadParameter(f"it goes with --tasks {task.name}", param_hint=f"'{_name(task, flag)}'")


def _entries(task: Task[Any, Any], flag: Flag, files: Sequence[Path]) -> Iterator[Any]:
    """What the files hold, together. Raises BadParameter for one that cannot be read."""
    assert flag.read is not None, "looked at"
    for file in files:
        try:
            yield from flag.read(file.read_bytes())
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error.args[-1]
            raise typer.BadParameter(f"{printable(str(file))}: {why}", param_hint=f"'{_name(task, flag)}'") from error


def _name(task: Task[Any, Any], flag: Flag) -> str:
    return flag.name or f"--{task.name}-{flag.field}".replace("_", "-")


def _parameter(key: str, task: Task[Any, Any], flag: Flag) -> inspect.Parameter:
    hint = list[Path] | None if flag.read else get_type_hints(task.options)[flag.field]
    kinds = [kind for kind in get_args(hint) or (hint,) if kind is not type(None)]
    option = typer.Option(
        _name(task, flag),
        metavar="FILE" if flag.read else METAVARS.get(kinds[0]),
        rich_help_panel=f"Task {task.name}",
        callback=None if flag.read or kinds[0] is bool else number_from(flag.minimum, flag.maximum),
        help=flag.help,
        show_default=flag.default or False,
    )
    default = False if kinds[0] is bool else None
    return inspect.Parameter(
        key, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=Annotated[hint, option]
    )


def number_from(minimum: float | None, maximum: float | None = None) -> Callable[[Any], Any]:
    """A check of an option's value that refuses numbers out of these bounds, and those that the contract has no room for."""

    def check(value: Any) -> Any:
        if isinstance(value, int | float):
            whole = isinstance(value, int)
            low = -MOST if minimum is None else minimum
            high = MOST if maximum is None else maximum
            if not low <= value <= high:
                upto = "" if maximum is None else f" to {maximum:g}"
                raise typer.BadParameter(f"a {'whole ' if whole else ''}number from {low:g}{upto} is needed")
        return value

    return check
