# SPDX-License-Identifier: Apache-2.0
"""First stage of the embedded engine: finds the nvidia-pytriton wheel's files and checks that they can run here."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import platform
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

TRITON_VERSION = "2.51.0"
WHEEL_VERSION = "0.7.0"
# Where `imagier engine install` puts the wheel's files: in this environment, beside its packages.
FILES = Path(sys.prefix) / "share" / "imagier" / f"nvidia-pytriton-{WHEEL_VERSION}"
NEWEST_PYTHON = (3, 13)
MINIMUM_GLIBC = (2, 35)
ARCHITECTURES = ("x86_64", "aarch64")

ELSEWHERE = "Use a Triton that runs already instead: `--engine HOST:PORT`."


class EmbeddedError(Exception):
    """The embedded Triton cannot run here, or did not start. The text is for the operator."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """Paths of Triton's parts."""

    server: Path  # the tritonserver binary
    libraries: Path  # the folder of shared libraries that it and the stub need
    python_backend: Path  # the folder of libtriton_python.so and triton_python_backend_utils.py
    stub: Path  # the process that runs a Python model, built for this Python's minor version
    libpython: Path | None  # what the stub embeds; None: the loader finds it without our help


def find() -> Wheel:
    """Locate Triton's parts without importing the wheel's package, which would bring much more than we need.

    Raises EmbeddedError with the way out: another platform, an old glibc, no wheel, no stub for this Python, no libpython.
    """
    check_here()
    package = FILES / "pytriton"
    if not package.is_dir():
        spec = importlib.util.find_spec("pytriton")  # somebody's own pip put it among the packages
        if spec is None or not spec.submodule_search_locations:
            raise EmbeddedError(f"The embedded Triton is not installed: `imagier engine install`. {ELSEWHERE}")
        package = Path(spec.submodule_search_locations[0])
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = package / "tritonserver" / "python_backend_stubs" / python / "triton_python_backend_stub"
    return Wheel(
        server=package / "tritonserver" / "bin" / "tritonserver",
        libraries=package.parent / "nvidia_pytriton.libs",
        python_backend=package / "tritonserver" / "backends" / "python",
        stub=stub,
        libpython=find_libpython(f"libpython{python}.so.1.0"),
    )


def check_here() -> None:
    """Raise EmbeddedError unless NVIDIA's binaries can run on this machine, with this Python."""
    check_platform(platform.system(), platform.machine(), glibc_version())
    version = sys.version_info[:2]
    if version > NEWEST_PYTHON:
        raise EmbeddedError(
            f"The embedded Triton knows Python 3.11 to {NEWEST_PYTHON[0]}.{NEWEST_PYTHON[1]};"
            f" this is {version[0]}.{version[1]}. {ELSEWHERE}"
        )


def check_platform(system: str, machine: str, glibc: tuple[int, int] | None) -> None:
    """Raise EmbeddedError unless NVIDIA's binary can run on this operating system, processor and C library."""
    if system != "Linux" or machine not in ARCHITECTURES:
        raise EmbeddedError(
            f"The embedded Triton runs on Linux, {' or '.join(ARCHITECTURES)}; this is {system}, {machine}. {ELSEWHERE}"
        )
    if glibc is None or glibc < MINIMUM_GLIBC:
        found = "another C library" if glibc is None else f"glibc {glibc[0]}.{glibc[1]}"
        raise EmbeddedError(
            f"The embedded Triton needs glibc {MINIMUM_GLIBC[0]}.{MINIMUM_GLIBC[1]}; this is {found}. {ELSEWHERE}"
        )


def glibc_version() -> tuple[int, int] | None:
    """(2, 36) for "glibc 2.36"; None where the C library is another, such as musl."""
    try:
        name, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").split()
    except (ValueError, OSError):
        return None
    major, minor = version.split(".")[:2]
    return (int(major), int(minor)) if name == "glibc" else None


def find_libpython(name: str) -> Path | None:
    """The shared library of this very interpreter, else whatever the loader finds.

    A distribution's `python3` is often linked statically, so that the library is a package of its own; the stub of 3.13
    needs none, the wheel brings it.
    """
    own = Path(sysconfig.get_config_var("LIBDIR") or "") / name
    if own.is_file():
        return own
    if sys.version_info < (3, 13):
        try:
            ctypes.CDLL(name)
        except OSError:
            package = name.removesuffix(".so.1.0")
            raise EmbeddedError(
                f"The embedded Triton's Python stub needs {name}, which this Python does not bring: install it"
                f" (Debian and Ubuntu: `apt-get install {package}`), or use Python 3.13. {ELSEWHERE}"
            ) from None
    return None
