# SPDX-License-Identifier: Apache-2.0
"""The command's first word: what is there, what is missing, what is said of it."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Annotated, Any

import imagier_client
import pytest
import typer
from imagier_client.cli import commands as cli

group = typer.Typer(add_completion=False)


def echo(argv: list[str]) -> int:
    print(argv)
    return 7


@group.callback()
def _group() -> None:
    pass


@group.command()
def add(number: Annotated[int, typer.Argument()]) -> int:
    return number + 1


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [
        EntryPoint(name, f"{__name__}:{name}", "imagier.commands") for name in ("serve", "echo", "group", "annotate")
    ]
    monkeypatch.setattr(cli, "entry_points", lambda group: entries)
    monkeypatch.setattr(EntryPoint, "load", load)


def load(entry: EntryPoint) -> Any:
    if entry.name == "serve":
        raise ModuleNotFoundError("No module named 'no_such_module'", name="no_such_module")
    return globals()[entry.name]


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"imagier {imagier_client.__version__}\n"


@pytest.mark.usefixtures("installed")
def test_a_command_that_is_a_function_gets_its_arguments_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--version", "-x", "--", "a", "--help"]
    assert cli.main(["echo", *arguments]) == 7
    assert capsys.readouterr().out == f"{arguments}\n"


@pytest.mark.usefixtures("installed")
def test_a_command_of_another_package_may_be_of_the_same_framework(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["group", "add", "41"]) == 42
    assert cli.main(["group", "add", "x"]) == 2
    assert capsys.readouterr().err.startswith("imagier group add: Invalid value for ")


@pytest.mark.usefixtures("installed")
def test_another_package_takes_no_command_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["annotate", "--tasks", "none", "a"]) == 2
    assert "--tasks" in capsys.readouterr().err


@pytest.mark.usefixtures("installed")
def test_a_command_whose_packages_are_missing_says_how_to_get_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["serve", "--port", "0"]) == 3
    assert capsys.readouterr().err == (
        f"imagier: no_such_module is not installed. Commands of the server need: {cli.SERVER_HINT}\n"
    )


@pytest.mark.parametrize("arguments", [["anotate"], ["--unheard-of"]])
def test_wrong_usage_is_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments) == 2
    err = capsys.readouterr().err
    assert arguments[0] in err
    assert err.endswith("(see `imagier --help`)\n")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["annotate", "a", "--max-tags"], "imagier annotate"),
        (["annotate", "a", "--tasks", "none"], "imagier annotate"),
        (["keywords", "--written-in"], "imagier keywords"),
        (["group", "add", "--number"], "imagier group add"),
    ],
)
@pytest.mark.usefixtures("installed")
def test_wrong_usage_says_of_which_command(
    arguments: list[str], command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"{command}: ")
    assert err.endswith(f"(see `{command} --help`)\n")


@pytest.mark.parametrize(("arguments", "status"), [([], 2), (["--help"], 0), (["-h"], 0)])
@pytest.mark.usefixtures("installed")
def test_help_lists_the_commands_in_groups_with_examples_and_loads_none(
    arguments: list[str], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == status
    out = capsys.readouterr().out
    places = [out.index(word) for word in ("Pictures", "annotate", "keywords", "Server", "serve", cli.OTHERS, "echo")]
    assert places == sorted(places)
    assert "imagier annotate photos --languages en,fr" in out


@pytest.mark.parametrize(
    ("command", "flags"),
    [
        ("annotate", ["--tasks", "--languages", "--format", "--draw", "--server", "--concurrency", "--max-tags"]),
        ("keywords", ["--languages", "--written-in", "--format", "--server"]),
    ],
)
def test_the_help_of_a_command_is_its_own(command: str, flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([command, "--help"]) == 0
    out = capsys.readouterr().out
    assert [flag for flag in flags if flag not in out] == []
    assert "Exit status: 0 " in out
    assert f"imagier {command} " in out[out.index("Examples:") :]
