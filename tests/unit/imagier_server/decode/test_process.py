# SPDX-License-Identifier: Apache-2.0
"""A decoder that a picture has taken over: it lies, floods, stalls or dies, and only its own picture fails."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from imagier_server.decode import process, worker
from imagier_server.decode.confinement import Confinement
from imagier_server.decode.formats import Format
from imagier_server.decode.process import (
    DecoderCrashedError,
    DecoderInterruptedError,
    DecoderOverrunError,
    DecoderProcess,
    DecoderUnavailableError,
)
from imagier_server.decode.refusals import Caps
from imagier_server.errors import Code, ImageTooLargeError, ImagierError, InvalidImageError

START = f"""#!{sys.executable}
import struct, sys, time
from multiprocessing.connection import Connection
connection = Connection(int(sys.argv[4]))
def size(kind, width, height):
    connection.send_bytes(kind + struct.pack("!II", width, height))
def turned(orientation):
    connection.send_bytes(bytes([orientation]))
"""
GREETING = "connection.send_bytes(struct.pack('!B?', 1, True))\n"
PICTURE = "connection.recv_bytes(); connection.recv_bytes()\n"
HEADER = "size(b'h', 100, 50); connection.recv_bytes()\n"
WAIT = "\nconnection.recv_bytes()\n"

Starter = Callable[[str], DecoderProcess]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Starter]:
    """Starts a decoder that runs the code given."""
    started = []

    def start(code: str) -> DecoderProcess:
        (tmp_path / "python").write_text(START + code, "utf-8")
        (tmp_path / "python").chmod(0o700)
        monkeypatch.setattr(process.sys, "executable", str(tmp_path / "python"))
        started.append(DecoderProcess(Caps(1000, 100), 1 << 30))
        return started[-1]

    yield start
    for each in started:
        each.stop()


def decode(decoder: DecoderProcess, seconds: float = 20.0) -> None:
    decoder.decode(b"picture", Format.PNG, lambda *_: 0.1, seconds)


def retryable(error: ImagierError) -> bool:
    """UNAVAILABLE, and to be tried again after two seconds or half as long again: callers are not to come back all at once."""
    return error.code is Code.UNAVAILABLE and error.retry_after is not None and 2.0 <= error.retry_after <= 3.0


@pytest.mark.parametrize(
    "answer",
    [
        "connection.send_bytes(b'')",
        "connection.send_bytes(b'x')",
        "connection.send_bytes(b'h')",
        "connection.send_bytes(b'h' * 300)",
        "size(b'p', 10, 5)",
        "size(b'h', 0, 5)",
        "size(b'h', 101, 1)",
        "size(b'h', 100, 11)",
        "size(b'h', 2**32 - 1, 2**32 - 1)",
        "import os; os.write(connection.fileno(), struct.pack('!iQ', -1, 2**62))",
        HEADER + "size(b'h', 10, 5)",
        HEADER + "size(b'p', 101, 5)",
        HEADER + "size(b'p', 0, 0)",
        HEADER + "size(b'p', 10, 5); turned(0); connection.send_bytes(b'x' * 150)",
        HEADER + "size(b'p', 10, 5); turned(9); connection.send_bytes(b'x' * 150)",
        HEADER + "size(b'p', 10, 5); connection.send_bytes(b''); connection.send_bytes(b'x' * 150)",
        HEADER + "size(b'p', 10, 5); turned(1); connection.send_bytes(b'x' * 149)",
        HEADER + "size(b'p', 10, 5); turned(1); connection.send_bytes(b'x' * 151)",
        "sys.exit()",
        HEADER + "sys.exit()",
        "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
        "import os, signal; os.kill(os.getpid(), signal.SIGSYS)",
        "connection.close(); import signal; signal.pause()",
    ],
)
def test_lies_and_deaths_are_a_crash_and_never_more(start: Starter, answer: str) -> None:
    with pytest.raises(DecoderCrashedError):
        decode(start(GREETING + PICTURE + answer.replace("100, 50", "100, 10") + WAIT))


def test_a_kill_from_outside_is_retryable(start: Starter) -> None:
    killed = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    for code in (PICTURE + killed, PICTURE + HEADER.replace("50", "10") + killed):
        with pytest.raises(DecoderInterruptedError) as raised:
            decode(start(GREETING + code))
        assert retryable(raised.value)


def test_what_fits_is_a_picture(start: Starter) -> None:
    answer = (
        "size(b'h', 100, 10); connection.recv_bytes(); size(b'p', 10, 5); turned(1); connection.send_bytes(b'x' * 150)"
    )
    picture = start(GREETING + PICTURE + answer + WAIT).decode(b"picture", Format.PNG, lambda *_: 0.1, 20.0)
    assert (picture.pixels.shape, picture.width, picture.height) == ((5, 10, 3), 100, 10)


STALLS = pytest.mark.parametrize(
    "answer",
    [
        "",
        "os.write(connection.fileno(), struct.pack('!i', 9))",  # a message that never comes
        "size(b'h', 100, 10)",
        # Each byte comes in time, with a timer's ticks, the whole never.
        (
            "os.write(connection.fileno(), struct.pack('!i', 200))\n"
            "signal.signal(signal.SIGALRM, lambda *_: os.write(connection.fileno(), b'x'))\n"
            "signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)\n"
            "while True: signal.pause()"
        ),
    ],
)


@STALLS
def test_time_is_that_of_the_whole_decode(start: Starter, answer: str) -> None:
    with pytest.raises(DecoderInterruptedError) as raised:
        decode(start(GREETING + PICTURE + "import os, signal\n" + answer + "\nsignal.pause()"), 0.2)
    assert retryable(raised.value)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine may be as busy as it likes."""
    monkeypatch.setattr(process, "_PATIENCE", 200)


@STALLS
@pytest.mark.usefixtures("patient")
def test_one_that_works_all_the_time_overruns(start: Starter, answer: str) -> None:
    busy = answer.replace("signal.pause()", "pass") + "\nwhile True: pass"
    with pytest.raises(DecoderOverrunError):
        decode(start(GREETING + PICTURE + "import os, signal\n" + busy), 0.2)


def test_a_picture_that_is_not_taken_in(start: Starter) -> None:
    decoder = start(GREETING + "import signal; signal.pause()")
    with pytest.raises(DecoderInterruptedError):
        decoder.decode(bytes(8 << 20), Format.PNG, lambda *_: 0.1, 0.2)


@pytest.mark.usefixtures("patient")
def test_a_picture_that_is_not_taken_in_by_one_that_works_is_an_overrun(start: Starter) -> None:
    decoder = start(GREETING + "while True: pass")
    with pytest.raises(DecoderOverrunError):
        decoder.decode(bytes(8 << 20), Format.PNG, lambda *_: 0.1, 0.2)


@pytest.mark.usefixtures("patient")
def test_time_before_the_picture_does_not_count(start: Starter) -> None:
    busy = "while time.process_time() < 0.5: pass\n"
    answer = (
        "size(b'h', 100, 10); connection.recv_bytes(); size(b'p', 10, 5); turned(1); connection.send_bytes(b'x' * 150)"
    )
    decode(start(busy + GREETING + PICTURE + answer + WAIT), 0.4)


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (worker.REFUSED + b"no numbers", InvalidImageError, "no numbers"),
        (worker.TOO_LARGE + b"\xff", ImageTooLargeError, "\ufffd"),
        (worker.BROKEN, InvalidImageError, "damaged, truncated or of an unsupported kind"),
    ],
)
def test_refusals(start: Starter, answer: bytes, error: type[InvalidImageError], text: str) -> None:
    with pytest.raises(error, match=text) as raised:
        decode(start(GREETING + PICTURE + f"connection.send_bytes({answer!r})" + WAIT))
    assert type(raised.value) is error
    assert raised.value.field == "image"


@pytest.mark.parametrize("code", ["sys.exit()", "connection.send_bytes(b'')", "connection.send_bytes(b'x' * 300)"])
def test_one_that_does_not_start_is_not_the_pictures_fault(start: Starter, code: str) -> None:
    with pytest.raises(DecoderUnavailableError) as raised:
        decode(start(code))
    assert raised.value.retry_after


def test_it_ends_with_the_gateway_even_in_the_middle_of_a_picture() -> None:
    gateway = """
import sys
from imagier_server.decode.refusals import Caps
from imagier_server.decode.process import DecoderProcess
decoder = DecoderProcess(Caps(1, 1), 1 << 30)
decoder.confinement()
print(decoder.pid, flush=True)
sys.stdin.read()
"""
    with psutil.Popen([sys.executable, "-c", gateway], stdin=-1, stdout=-1, text=True) as running:
        decoder = psutil.Process(int(running.stdout.readline()))
        os.kill(decoder.pid, signal.SIGSTOP)  # a codec that would not look at its connection for a long time
        running.kill()
        running.wait()
        psutil.wait_procs([decoder], timeout=20)
        assert not decoder.is_running() or decoder.status() == psutil.STATUS_ZOMBIE


def test_confinement_is_told_once(start: Starter) -> None:
    decoder = start(GREETING + "connection.close()")
    assert decoder.confinement() == decoder.confinement() == Confinement(1, True)


def test_a_decoder_comes_after_the_gateway_for_the_cores() -> None:
    decoder = DecoderProcess(Caps(1000, 100), 1 << 30)
    try:
        decoder.confinement()  # it is running
        assert psutil.Process(decoder.pid).nice() == min(os.nice(0) + worker.NICENESS, 19)
    finally:
        decoder.stop()
