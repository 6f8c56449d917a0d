# SPDX-License-Identifier: Apache-2.0
"""Installs the nvidia-pytriton wheel as plain files, fetched and checked by pip or uv.

As a package it would force numpy below 2 and bring a dozen packages that we do not use.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from imagier_server.embedded import wheel
from imagier_server.embedded.wheel import EmbeddedError, Wheel

# Digests of PyPI's two wheels of this version, x86-64 and aarch64.
REQUIREMENT = f"""nvidia-pytriton=={wheel.WHEEL_VERSION} \\
    --hash=sha256:21f063ff93bb426d0c06b7a55e7eb9efcfe62c0dddd9a908e9877e18710128df \\
    --hash=sha256:f99e07ee56fe065337453956afba17d2673e02ec6a632c3de26ce6e7b32a0898
"""


def install() -> Wheel:
    """Install the wheel's files where `wheel.find` looks, unless they are there, and return what it finds.

    Index, proxy and certificates are pip's own configuration; progress goes to standard output. Raises EmbeddedError
    if it cannot run here or could not be fetched.
    """
    wheel.check_here()
    if not wheel.FILES.is_dir():
        _fetch(installer(), wheel.FILES)
    return wheel.find()


def installer() -> list[str]:
    """The start of the install command: pip's, or uv's in an environment made by uv, which has no pip."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "--disable-pip-version-check", "install"]
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "--python", sys.executable]
    raise EmbeddedError("Neither pip nor uv is here to fetch the embedded Triton: `python -m ensurepip` brings pip.")


def _fetch(command: list[str], target: Path) -> None:
    """Fetch all files or none: they are unpacked beside `target` and renamed."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=target.parent) as folder:
            wanted = Path(folder, "requirement.txt")
            wanted.write_text(REQUIREMENT, encoding="ascii")
            files = Path(folder, "files")
            options = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--no-compile"]
            subprocess.run([*command, *options, "--target", str(files), "-r", str(wanted)], check=True)
            files.rename(target)
    except subprocess.CalledProcessError as error:
        raise EmbeddedError("The embedded Triton could not be fetched; the lines above say why.") from error
    except OSError as error:
        raise EmbeddedError(f"The embedded Triton cannot be written to {target}: {error.strerror}.") from error
