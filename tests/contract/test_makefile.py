# SPDX-License-Identifier: Apache-2.0
"""`make` finds a Python that can have the server, or says in one sentence what to do."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).parents[2] / "Makefile"

# A Python that says it is VERSION, and in place of a virtual environment makes a file with its own name.
PYTHON = """#!/bin/sh
if [ "$1 $2" = "-m venv" ]; then mkdir -p .venv/bin; echo NAME > .venv/bin/python; exit; fi
exec REAL -c 'import sys, sysconfig
sys.version_info = VERSION
LIBRARY
exec(sys.argv[1])' "$2"
"""
LACKS_LIBRARY = """import ctypes
ctypes.CDLL = lambda name: open(f"/nowhere/{name}")
sysconfig.get_config_var = lambda _name: "/nowhere"
"""


class Place:
    """A folder with the Makefile and Pythons of our own, which alone are on the path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "bin").mkdir()
        shutil.copy(MAKEFILE, folder)
        for tool in ("make", "sh", "mkdir", "id"):
            (folder / "bin" / tool).symlink_to(shutil.which(tool))

    def add(self, name: str, version: tuple[int, int], library: str = "") -> None:
        text = PYTHON.replace("NAME", name).replace("REAL", sys.executable).replace("LIBRARY", library)
        (self.folder / "bin" / name).write_text(text.replace("VERSION", repr(version)), encoding="ascii")
        (self.folder / "bin" / name).chmod(0o755)

    def make(self, *arguments: str) -> str:
        """The Python that .venv was made with; or what is said where none was."""
        environment = {"PATH": str(self.folder / "bin")}
        done = subprocess.run(
            ["make", ".venv/bin/python", *arguments],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        made = self.folder / ".venv" / "bin" / "python"
        return made.read_text().strip() if done.returncode == 0 else done.stderr.splitlines()[0]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_it_takes_python3_if_that_fits(place: Place) -> None:
    place.add("python3.13", (3, 13))
    place.add("python3", (3, 13))
    assert place.make() == "python3"


def test_it_looks_for_one_that_triton_knows_and_can_load(place: Place) -> None:
    place.add("python3", (3, 14))
    place.add("python3.11", (3, 11), LACKS_LIBRARY)
    place.add("python3.13", (3, 13), LACKS_LIBRARY)
    assert place.make() == "python3.13", "its library comes with Triton"


def test_where_none_fits_it_says_what_to_do(place: Place) -> None:
    place.add("python3", (3, 14))
    place.add("python3.12", (3, 12), LACKS_LIBRARY)
    assert place.make() == (
        "Install Python 3.13, 3.12 or 3.11 or uv, or say make PYTHON=/path/to/python3.13:"
        " none of python3 python3.13 python3.12 python3.11 fits;"
        " python3 is 3.14; python3.12 lacks libpython3.12.so.1.0 (Debian, Ubuntu: apt-get install libpython3.12)"
    )
    place.add("python3.9", (3, 9))
    assert "none of python3.9 fits; python3.9 is 3.9" in place.make("PYTHON=python3.9")


def test_uv_brings_one_where_nobody_named_another(place: Place) -> None:
    uv = place.folder / "bin" / "uv"
    uv.write_text('#!/bin/sh\nmkdir -p .venv/bin; echo "uv $*" > .venv/bin/python\n', encoding="ascii")
    uv.chmod(0o755)
    assert "none of python3.9 fits" in place.make("PYTHON=python3.9")
    assert place.make() == "uv venv --seed --python-preference only-managed --python 3.13 .venv"
