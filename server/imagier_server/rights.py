# SPDX-License-Identifier: Apache-2.0
"""Disables core dumps, which would hold pictures, and new privileges, for this process and its children."""

from __future__ import annotations

import ctypes
import resource
from contextlib import suppress

_PR_SET_NO_NEW_PRIVS = 38  # linux/prctl.h
# One byte means no dump to the kernel (fs/coredump.c), not even into a program that core_pattern names, such as systemd-coredump:
# 0 does not keep dumps from that. PR_SET_DUMPABLE would, but does not outlast the start of another program such as Triton,
# and what monitoring reads in /proc (descriptors, memory) would then be root's alone.
CORE_BYTES = 1


def forbid_core_dumps() -> None:
    """Disable core dumps; only root could enable them again. A lower limit is left as it is."""
    with suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (CORE_BYTES, CORE_BYTES))


def forbid_new_privileges() -> None:
    """Keep child processes from gaining privileges by set-user-ID bits or file capabilities."""
    ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
