# SPDX-License-Identifier: Apache-2.0
"""Attacks from inside: the decoder's own process, with `decode` replaced by what a codec that was taken over would try."""

from __future__ import annotations

import ctypes
import errno
import json
import platform
import socket
import subprocess
import sys
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from imagier_server.decode import worker
from imagier_server.decode.confinement import Confinement
from imagier_server.decode.formats import Format

# What each attack raises; None is a success. `os.open` of a file that is there, by its absolute path, is the mildest of them.
ATTACKS = """
import ctypes, importlib, json, os, resource, signal, socket, subprocess, sys, threading
from imagier_server.decode import confinement, worker
from imagier_server.decode.refusals import RefusedError

folder, absent = sys.argv.pop(), sys.argv.pop().split(",")
held = os.open(folder + "/held", os.O_RDWR | os.O_CREAT)
reader, writer = os.pipe()
libc = ctypes.CDLL(None, use_errno=True)

def syscall(number, *arguments):
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), "")

def executable_memory():
    libc.mmap.restype = ctypes.c_void_p
    if libc.mmap(None, ctypes.c_size_t(4096), 7, 0x22, -1, ctypes.c_size_t(0)) == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), "")

def thread():
    running = threading.Thread(target=print)
    running.start()
    running.join()

def take_memory():
    return len(bytearray(3 << 30))

attacks = {
    "write a new file": lambda: os.open(folder + "/new", os.O_WRONLY | os.O_CREAT),
    "write an open file": lambda: os.write(held, b"x"),
    "read a file": lambda: os.open("/etc/passwd", os.O_RDONLY),
    "read the interpreter": lambda: os.open(sys.executable, os.O_RDONLY),
    "read about itself": lambda: os.open("/proc/self/maps", os.O_RDONLY),
    "list a folder": lambda: os.listdir(folder),
    "look at a file": lambda: os.stat("/etc/passwd"),
    "remove a file": lambda: os.unlink(folder + "/held"),
    "make a folder": lambda: os.mkdir(folder + "/made"),
    "TCP socket": lambda: socket.create_connection(("127.0.0.1", 1)),
    "UDP socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
    "Unix socket": lambda: socket.socketpair(),
    "netlink socket": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "pipe": lambda: os.pipe(),
    "duplicate a descriptor": lambda: os.dup(0),
    "memory file": lambda: os.memfd_create("x"),
    "exec": lambda: os.execv("/bin/true", ["true"]),
    "spawn": lambda: subprocess.run(["/bin/true"]),
    "fork": lambda: os.fork() or os._exit(0),
    "signal to the parent": lambda: os.kill(os.getppid(), 0),
    "memory of the parent": lambda: syscall(310 if os.uname().machine == "x86_64" else 270, os.getppid(), 0, 0, 0, 0, 0),
    "io_uring": lambda: syscall(425, 8, bytes(120)),
    "bpf": lambda: syscall(321 if os.uname().machine == "x86_64" else 280, 0, 0, 0),
    "keyring": lambda: syscall(250 if os.uname().machine == "x86_64" else 219, 0, -3, 0),
    "lift a limit": lambda: resource.setrlimit(resource.RLIMIT_AS, (-1, -1)),
    "executable memory": executable_memory,
    "import": lambda: importlib.import_module("colorsys"),
    "dlopen": lambda: ctypes.CDLL("libBrokenLocale.so.1"),
    "more memory than allowed": take_memory,
}
harmless = {"thread": thread, "memory": lambda: len(bytearray(64 << 20)), "use what is open": lambda: os.write(writer, b"x")}

def attack(*_):
    said = {}
    for name, attempt in (*attacks.items(), *harmless.items()):
        try:
            attempt()
            said[name] = None
        except BaseException as error:
            said[name] = type(error).__name__
    raise RefusedError(json.dumps(said))

worker.decode = attack
if len(absent) == 2:
    del attacks["exec"]  # nothing is left that would stop it
for name in absent:
    setattr(confinement, name, lambda libc: 0)  # as on a kernel that lacks it
worker.main()
"""


def attacked(folder: Path, *absent: str) -> tuple[Confinement, dict[str, str | None]]:
    """How well the worker says it is closed in, and what became of each attack. `absent` are mechanisms to do without."""
    ours, theirs = socket.socketpair()
    with theirs:
        command = [sys.executable, "-P", "-c", ATTACKS, str(theirs.fileno()), str(2 << 30), "1000", "1000"]
        process = subprocess.Popen(
            [*command, ",".join(absent) or "nothing_absent", str(folder)],
            pass_fds=[theirs.fileno()],
            stderr=subprocess.PIPE,
        )
    with process, Connection(ours.detach()) as connection:
        try:
            said = Confinement(*worker.CONFINEMENT.unpack(connection.recv_bytes()))
            connection.send_bytes(Format.PNG.value.encode())
            connection.send_bytes(b"")
            answer = connection.recv_bytes()
        except EOFError:
            raise AssertionError(process.stderr.read().decode()) from None
    assert process.returncode == 0, "it ends with its connection"
    assert answer[:1] == worker.REFUSED
    return said, json.loads(answer[1:])


HARMLESS = {"thread", "memory", "use what is open"}


def failed(outcomes: dict[str, str | None]) -> set[str]:
    return {name for name, error in outcomes.items() if error is not None}


def kernel() -> Confinement:
    """What the kernel of this machine announces."""
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(444, None, 0, 1)
    if version < 0:
        assert ctypes.get_errno() in {errno.ENOSYS, errno.EOPNOTSUPP}
    known = platform.machine() in {"x86_64", "aarch64"}
    return Confinement(max(0, version), known and "\nSeccomp:" in Path("/proc/self/status").read_text("ascii"))


def test_all_that_the_kernel_has_is_used_and_every_attack_fails(tmp_path: Path) -> None:
    said, outcomes = attacked(tmp_path)
    assert said == kernel()
    assert failed(outcomes) == outcomes.keys() - HARMLESS
    assert [path.name for path in tmp_path.iterdir()] == ["held"]
    assert (tmp_path / "held").read_bytes() == b""


@pytest.mark.parametrize("absent", ["_landlock", "_seccomp"])
def test_where_one_is_missing_it_is_said_and_the_other_holds(tmp_path: Path, absent: str) -> None:
    said, outcomes = attacked(tmp_path, absent)
    assert said == (
        Confinement(0, kernel().seccomp) if absent == "_landlock" else Confinement(kernel().landlock, False)
    )
    worst = {"write a new file", "write an open file", "read a file", "TCP socket", "UDP socket", "exec", "spawn"}
    assert worst <= failed(outcomes)
    assert [path.name for path in tmp_path.iterdir()] == ["held"]


def test_without_either_the_limits_still_hold(tmp_path: Path) -> None:
    said, outcomes = attacked(tmp_path, "_landlock", "_seccomp")
    assert said == Confinement(0, False)
    no_descriptors = {"write a new file", "write an open file", "read a file", "TCP socket", "UDP socket", "pipe"}
    assert no_descriptors | {"more memory than allowed"} <= failed(outcomes)
    open_without = {"look at a file", "make a folder", "fork", "executable memory", "signal to the parent"}
    assert open_without.isdisjoint(failed(outcomes)), "what nothing stopped here, the two others stop above"
