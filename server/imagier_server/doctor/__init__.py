# SPDX-License-Identifier: Apache-2.0
"""`imagier doctor`: reports on one screen what this machine has and what is wrong. Names no host, user or picture."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata, util
from pathlib import Path
from typing import Annotated, Literal

import typer

from imagier_server.cores import usable_cores
from imagier_server.doctor import machine
from imagier_server.doctor.finding import Finding, State, note, wrong

ALL_WELL, SOMETHING_WRONG, WRONG_USAGE = 0, 1, 2
DEFAULT_REPOSITORY = Path("model_repository")


command = typer.Typer(add_completion=False)


@command.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    epilog="""Every setting of `imagier serve` may be given, too.

Examples:

imagier doctor --port 9000 --model-repository /srv/models

imagier doctor --format json

Exit status: 0 nothing is wrong, 1 something is, 2 wrong usage.""",
)
def doctor(
    context: typer.Context,
    style: Annotated[Literal["table", "json"], typer.Option("--format", help="For people, or for programs.")] = "table",
) -> int:
    """Say what this machine has (cores, processor flags, memory, disk, GPU, Triton, models, ports) and what is wrong."""
    findings = list(examine(context.args))
    text = as_json(findings) if style == "json" else as_table(findings)
    sys.stdout.write(f"{text}\n")
    return SOMETHING_WRONG if any(each.state is State.WRONG for each in findings) else ALL_WELL


def examine(arguments: Sequence[str]) -> Iterator[Finding]:
    """Collect all findings; `arguments` are settings of `imagier serve`. Without its packages the server is not checked.

    Raises typer.Exit for wrong usage.
    """
    yield machine.system()
    yield machine.cores()
    yield machine.processor()
    yield machine.gpu()
    if util.find_spec("pydantic_settings") is None:
        yield machine.memory(usable_cores(), triton=False)
        yield machine.disk(DEFAULT_REPOSITORY)
        yield note("server", "not installed; the client is", "A server here needs `pip install 'imagier[server,cpu]'`.")
        return
    from imagier_server.command_line import WrongSettingsError, WrongUsageError, from_arguments  # noqa: PLC0415 - an extra

    try:
        settings = from_arguments(arguments, "imagier doctor")
    except WrongUsageError as error:
        sys.stderr.write(f"imagier doctor: {error}\n")
        raise typer.Exit(WRONG_USAGE) from error
    except WrongSettingsError as error:
        faults = str(error).replace("\n", "; ")
        yield wrong("settings", "wrong", f"{faults}. Set it right, and ask again for the rest.")
        return
    embedded = settings.engine == "embedded"
    yield machine.memory(settings.decoders, triton=embedded)
    yield machine.disk(settings.model_repository)
    yield machine.open_files(settings.connections)
    wanted = ["server"] + embedded * ["gpu" if machine.installed("onnxruntime-gpu") else "cpu"]
    if lacking := [name for extra in wanted for name in required_by(extra) if not machine.installed(name)]:
        advice = f"`pip install 'imagier[{','.join(wanted)}]'` brings what is missing; ask again then for the rest."
        yield wrong("server", f"without {', '.join(lacking)}", advice)
        return
    yield Finding("server", f"imagier {metadata.version('imagier')} with what it needs")
    from imagier_server.doctor import server  # noqa: PLC0415 - needs the packages that were just looked for

    yield from server.needs(settings)


def required_by(extra: str) -> list[str]:
    """The distributions in one of our extras, without our other extras."""
    named = (text for text in metadata.requires("imagier") or () if re.search(rf"extra == ['\"]{extra}['\"]", text))
    names = (re.match(r"[A-Za-z0-9._-]+", text) for text in named)
    return [found[0] for found in names if found and found[0] != "imagier"]


def as_table(findings: Sequence[Finding]) -> str:
    """A line per finding, with advice below each problem."""
    lines = [f"imagier {metadata.version('imagier')}", ""]
    width = max(len(each.name) for each in findings)
    for each in findings:
        lines.append(f"{each.state:5}  {each.name:{width}}  {each.found}")
        if each.advice:
            lines.append(f"{'':5}  {'':{width}}  {each.advice}")
    count = sum(each.state is State.WRONG for each in findings)
    verdict = {0: "Nothing is wrong.", 1: "One thing is wrong."}.get(count, f"{count} things are wrong.")
    return "\n".join([*lines, "", verdict])


def as_json(findings: Sequence[Finding]) -> str:
    """An object: `version`, `wrong` (how many), `findings`, each with `name`, `state`, `found`, `advice`."""
    rows = [
        {"name": each.name, "state": each.state.value, "found": each.found, "advice": each.advice} for each in findings
    ]
    count = sum(each.state is State.WRONG for each in findings)
    return json.dumps({"version": metadata.version("imagier"), "wrong": count, "findings": rows}, indent=2)
