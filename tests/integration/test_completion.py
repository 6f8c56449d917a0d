# SPDX-License-Identifier: Apache-2.0
"""What a real bash completes after `imagier --install-completion`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# Reads what the installation made, and asks the function that bash would call at a Tab. One case an argument, its words separated.
COMPLETE = r"""
. "$HOME/.bashrc"
complete -p imagier | grep -q -- '-o default' || exit 9
function=$(complete -p imagier | sed 's/.*-F \([^ ]*\) .*/\1/')
for line in "$@"; do
    IFS=' ' read -r -a COMP_WORDS <<< "$line"
    if [[ $line == *' ' ]]; then COMP_WORDS+=(""); fi
    COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 )) COMPREPLY=()
    $function imagier
    echo "${COMPREPLY[*]}"
done
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of somebody who has installed completion for bash, by asking a bash."""
    home = tmp_path_factory.mktemp("home")
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    environment = {"HOME": str(home), "PATH": path}
    # Not the last command: bash would become it, and the shell is found by who started `imagier`.
    bash("imagier --install-completion && true", environment)
    return environment


def bash(script: str, environment: dict[str, str], *arguments: str) -> list[str]:
    program = shutil.which("bash")
    assert program is not None
    command = [program, "--norc", "-c", script, "bash", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_commands_and_options_are_completed(home: dict[str, str]) -> None:
    cases = {
        "imagier an": "annotate",
        "imagier models ": "install list verify copy",
        "imagier annotate --ma": "--max-words --max-tags",
        "imagier annotate --format ": "table jsonl alto hocr",
        "imagier doctor --fo": "--format",
        "imagier annotate ": "",  # bash then completes file names
    }
    assert dict(zip(cases, bash(COMPLETE, home, *cases), strict=True)) == cases
