# SPDX-License-Identifier: Apache-2.0
"""The options of `imagier annotate` that each task declares in its own module."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, get_args, get_type_hints

import typer

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
            given.setdefault(task.name, {})[flag.field] = arguments.pop(key)
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
            if task.name not in asked and value is not None and value is not False:
                raise typer.BadParameter(f"it goes with --tasks {task.name}", param_hint=f"'{_name(task, flag)}'")


def _name(task: Task[Any, Any], flag: Flag) -> str:
    return flag.name or f"--{task.name}-{flag.field}".replace("_", "-")


def _parameter(key: str, task: Task[Any, Any], flag: Flag) -> inspect.Parameter:
    hint = get_type_hints(task.options)[flag.field]
    kinds = [kind for kind in get_args(hint) or (hint,) if kind is not type(None)]
    option = typer.Option(
        _name(task, flag),
        metavar=METAVARS.get(kinds[0]),
        rich_help_panel=f"Task {task.name}",
        callback=None if kinds[0] is bool else number_from(flag.minimum, flag.maximum),
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
