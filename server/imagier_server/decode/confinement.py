# SPDX-License-Identifier: Apache-2.0
"""Sandboxes a decoder process with Landlock, seccomp and resource limits, as far as the kernel has them; irreversible."""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
import struct
from dataclasses import dataclass

from imagier_server import rights

# linux/prctl.h, linux/seccomp.h
_PR_SET_PDEATHSIG, _PR_SET_SECCOMP = 1, 22
_SECCOMP_MODE_FILTER = 2
_RET_KILL_PROCESS, _RET_ERRNO, _RET_ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_EPERM, _ENOSYS = 1, 38

# linux/landlock.h; the three calls have the same numbers everywhere.
_LANDLOCK_CREATE_RULESET, _LANDLOCK_RESTRICT_SELF = 444, 446
_LANDLOCK_CREATE_RULESET_VERSION = 1
_LANDLOCK_NET = 0b11  # TCP bind and connect
_LANDLOCK_SCOPE = 0b11  # abstract Unix sockets, signals

# Classic BPF (linux/bpf_common.h): load a word, jump if equal, jump if any bit is set, return.
_LOAD, _JUMP_EQUAL, _JUMP_SET, _RETURN = 0x20, 0x15, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

_PROT_EXEC = 4
_CLONE_THREAD = 0x10000

# Allowed system calls, by number on (x86-64, aarch64): memory, threads, clocks, and the descriptors already open.
_ALLOWED = {
    "read": (0, 63),
    "write": (1, 64),
    "close": (3, 57),
    "munmap": (11, 215),
    "brk": (12, 214),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sched_yield": (24, 124),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "nanosleep": (35, 101),
    "exit": (60, 93),
    "sigaltstack": (131, 132),
    "gettid": (186, 178),
    "futex": (202, 98),
    "sched_getaffinity": (204, 123),
    "restart_syscall": (219, 128),
    "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115),
    "exit_group": (231, 94),
    "set_robust_list": (273, 99),
    "getrandom": (318, 278),
    "membarrier": (324, 283),
    "rseq": (334, 293),
}
_MMAP, _MPROTECT, _CLONE, _CLONE3 = (9, 222), (10, 226), (56, 220), (435, 435)


@dataclass(frozen=True, slots=True)
class Confinement:
    """The active sandbox: Landlock's ABI version (0 for none), and whether system calls are filtered."""

    landlock: int
    seccomp: bool


def limit(memory: int) -> None:
    """Limit the address space to `memory` bytes; forbid core dumps and growing files. Call before the codecs are loaded.

    The process ends with the thread that started it, even during a picture.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    rights.forbid_core_dumps()
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def confine() -> Confinement:
    """Forbid this process to open files or sockets and to start programs; open descriptors stay usable.

    Call it when all code is loaded and one thread runs. Landlock and seccomp each suffice against files and TCP; a kernel that
    lacks one is no error. No RLIMIT_NPROC: it counts all processes of a user, and is void for root.
    """
    libc = ctypes.CDLL(None)
    rights.forbid_new_privileges()  # both mechanisms require it; every kernel that runs Python has it
    landlock = _landlock(libc)
    # No new descriptor at all: not a file, not a socket, not a pipe.
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    return Confinement(landlock, _seccomp(libc))


def _landlock(libc: ctypes.CDLL) -> int:
    """Apply an empty rule set, which denies everything that this version of Landlock governs."""
    version = int(libc.syscall(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_CREATE_RULESET_VERSION))
    if version < 1:
        return 0
    # Rights on files, by version: 13, +1 to link elsewhere, +1 to truncate, the same, +1 for ioctl on devices.
    rights = (13, 14, 15, 15, 16)[min(version, 5) - 1]
    ruleset = struct.pack("=QQQ", (1 << rights) - 1, _LANDLOCK_NET, _LANDLOCK_SCOPE)
    size = 8 if version < 4 else 16 if version < 6 else 24
    descriptor = int(libc.syscall(_LANDLOCK_CREATE_RULESET, ruleset, size, 0))
    if descriptor < 0:
        return 0
    refused = libc.syscall(_LANDLOCK_RESTRICT_SELF, descriptor, 0)
    os.close(descriptor)
    return 0 if refused else version


def _seccomp(libc: ctypes.CDLL) -> bool:
    """Apply an allow list of system calls; others fail with EPERM, so that a codec that tries one fails but survives."""
    try:
        column = list(_AUDIT_ARCH).index(platform.machine())
    except ValueError:
        return False
    program = _program(_AUDIT_ARCH[platform.machine()], column)
    length = len(program) // 8
    buffer = ctypes.create_string_buffer(program)
    # struct sock_fprog: an unsigned short, padding, a pointer.
    header = struct.pack("@HP", length, ctypes.addressof(buffer))
    return bool(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, header, 0, 0) == 0)


def _program(architecture: int, column: int) -> bytes:
    """The filter as struct sock_filter: code, jump if true, jump if false, operand."""
    allow, refuse = (_RETURN, 0, 0, _RET_ALLOW), (_RETURN, 0, 0, _RET_ERRNO | _EPERM)
    lines = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JUMP_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _RET_KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER),
    ]
    for numbers in _ALLOWED.values():
        lines += [(_JUMP_EQUAL, 0, 1, numbers[column]), allow]
    # No new executable memory.
    for numbers in (_MMAP, _MPROTECT):
        lines += [(_JUMP_EQUAL, 0, 4, numbers[column]), (_LOAD, 0, 0, _ARGUMENTS + 2 * 8)]
        lines += [(_JUMP_SET, 0, 1, _PROT_EXEC), refuse, allow]
    # Threads, which some codecs need, but no processes. clone3 hides its flags behind a pointer; without it, libc takes clone.
    lines += [(_JUMP_EQUAL, 0, 4, _CLONE[column]), (_LOAD, 0, 0, _ARGUMENTS)]
    lines += [(_JUMP_SET, 1, 0, _CLONE_THREAD), refuse, allow]
    lines += [(_JUMP_EQUAL, 0, 1, _CLONE3[column]), (_RETURN, 0, 0, _RET_ERRNO | _ENOSYS)]
    lines += [refuse]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)
