# SPDX-License-Identifier: Apache-2.0
"""Builds and runs a Dockerfile where no container engine runs: its own instructions, step by step, in bubblewrap.

This machine's system files, read-only, stand in for the base image; what the instructions make lies in folders of their own.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import string
import subprocess
import sys
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
BASE_PATH = "/base/bin:/usr/local/bin:/usr/bin:/bin"
BASE_PYTHON = Path(sys.executable).resolve()

# Made anew in every sandbox; all else of the machine's root is shown as it is.
MADE_ANEW = {"proc", "dev", "sys", "tmp", "base"}


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction of a Dockerfile, continuation lines joined."""

    keyword: str
    text: str

    def command(self, text: str | None = None) -> list[str]:
        """The argument vector, of the JSON form as of the shell form."""
        text = self.text if text is None else text
        return json.loads(text) if text.startswith("[") else ["/bin/sh", "-c", text]


@dataclass(slots=True)
class Stage:
    """An image under construction: its folders lie under `root`. One at the image's root must exist before a RUN fills it."""

    root: Path
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": BASE_PATH})
    arguments: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: str = "0:0"
    volumes: list[str] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)
    healthcheck: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)

    def place(self, path: str) -> Path:
        """Where a path of the image lies on this machine."""
        return self.root / os.path.normpath(Path(self.folder, path)).lstrip("/")

    def run(self, command: Sequence[str], *options: str, bind: str = "--bind", time_limit: float) -> str:
        """Runs `command` in the image; what it prints. `options` are bubblewrap's. A failure fails the test."""
        user, group = self.user.split(":")
        arguments = [
            "--unshare-user",
            "--uid",
            user,
            "--gid",
            group,
            "--unshare-pid",
            "--die-with-parent",
            "--clearenv",
        ]
        own = sorted(path.name for path in self.root.iterdir())
        for path in sorted(Path("/").iterdir()):
            if path.is_symlink():
                arguments += ["--symlink", str(path.readlink()), str(path)]
            elif path.is_dir() and path.name not in MADE_ANEW.union(own):
                arguments += ["--ro-bind", str(path), str(path)]
        arguments += [
            "--proc",
            "/proc",
            "--dev",
            "/dev",
            "--tmpfs",
            "/tmp",
            "--symlink",
            str(BASE_PYTHON),
            "/base/bin/python",
        ]
        if CHECKOUT.parts[1] not in MADE_ANEW:
            arguments += ["--tmpfs", str(CHECKOUT)]  # an image knows nothing of the checkout
        for name in own:
            arguments += [bind, str(self.root / name), f"/{name}"]
        arguments += setenv(self.environment)
        done = subprocess.run(
            ["bwrap", *arguments, *options, "--chdir", self.folder, *command],
            stdout=subprocess.PIPE,
            text=True,
            check=False,
            timeout=time_limit,
        )
        assert done.returncode == 0, f"{shlex.join(command)} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout


def setenv(environment: Mapping[str, str]) -> list[str]:
    """Bubblewrap's options for these variables; the last word on a name wins."""
    return [word for name, value in environment.items() for word in ("--setenv", name, value)]


def instructions(dockerfile: Path) -> list[Instruction]:
    lines = (line for line in dockerfile.read_text("utf-8").split("\n") if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n", "", "\n".join(lines))
    return [Instruction(*line.strip().split(maxsplit=1)) for line in joined.split("\n") if line.strip()]


def build(
    dockerfile: Path, context: Path, folder: Path, arguments: Mapping[str, str], options: Sequence[str]
) -> dict[str, Stage]:
    """Carries out every instruction; all stages. `arguments` as `--build-arg`; `options` are bubblewrap's, for each RUN."""
    stages: dict[str, Stage] = {}
    stage = None
    for step in instructions(dockerfile):
        if step.keyword == "FROM":
            base, *name = re.split(r"\s+AS\s+", step.text)
            stage = Stage(folder / str(len(stages)))
            if base in stages:
                shutil.copytree(stages[base].root, stage.root, symlinks=True)
                stage = deepcopy(stages[base])
                stage.root = folder / str(len(stages))
            else:
                assert base == "scratch" or base.startswith("python:3."), (
                    f"{base}: this machine can stand in for Python's own images only"
                )
                stage.root.mkdir(parents=True)
            stages[name[0]] = stage
            continue
        assert stage is not None
        carry_out(step, stage, stages, context, arguments, options)
    return stages


def carry_out(  # noqa: C901 - one case for each instruction
    step: Instruction,
    stage: Stage,
    stages: Mapping[str, Stage],
    context: Path,
    arguments: Mapping[str, str],
    options: Sequence[str],
) -> None:
    """One instruction after FROM. What is unknown here is an error, so that no step of the file goes unproved."""
    match step.keyword:
        case "ENV":
            for word in shlex.split(step.text):
                name, value = word.split("=", 1)
                stage.environment[name] = string.Template(value).safe_substitute(stage.environment)
        case "ARG":
            name, default = shlex.split(step.text)[0].split("=", 1)
            stage.arguments[name] = arguments.get(name, default)
        case "WORKDIR":
            stage.folder = os.path.normpath(Path(stage.folder, step.text))
            stage.place(".").mkdir(parents=True, exist_ok=True)
        case "COPY":
            copy(shlex.split(step.text), stage, stages, context)
        case "RUN":
            stage.run(step.command(), *setenv(stage.arguments), *options, time_limit=1200)
        case "USER":
            stage.user = step.text
        case "VOLUME":
            stage.volumes = json.loads(step.text)
        case "EXPOSE":
            stage.ports = [int(port) for port in step.text.split()]
        case "HEALTHCHECK":
            stage.healthcheck = [] if step.text == "NONE" else step.command(step.text.split("CMD", 1)[1].strip())
        case "CMD":
            stage.command = step.command()
        case _:
            raise AssertionError(f"no step here knows the instruction {step.keyword}")


def copy(words: Sequence[str], stage: Stage, stages: Mapping[str, Stage], context: Path) -> None:
    *sources, target = words
    origin = stages[sources.pop(0).removeprefix("--from=")].root if sources[0].startswith("--from=") else context
    for source in (origin / source.lstrip("/") for source in sources):
        place = stage.place(target)
        if source.is_dir():
            shutil.copytree(source, place, symlinks=True, dirs_exist_ok=True)
        else:
            place = place / source.name if target.endswith("/") else place
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, place)
