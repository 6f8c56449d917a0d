# SPDX-License-Identifier: Apache-2.0
"""gRPC's own lines become events; what else C code writes stays as it is."""

from __future__ import annotations

import logging

import pytest
from imagier_server import native_log

GOAWAY = b'E1128 20:17:00.937505   18792 chttp2_transport.cc:1435] ipv4:127.0.0.1:4: Received a GOAWAY "a secret"\n'
NEWS = b"I0000 00:00:1764361020.937443  18792 fork_posix.cc:71] Other threads are calling into gRPC\n"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_grpcs_lines_are_events_without_their_text(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    others: list[bytes] = []
    preamble = b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n"
    native_log.sort([preamble, NEWS, GOAWAY, b"free(): invalid pointer\n", b"\xff\n"], others.append)
    assert [(record.levelno, record.fields["at"]) for record in caplog.records] == [
        (logging.DEBUG, "fork_posix.cc:71"),
        (logging.WARNING, "chttp2_transport.cc:1435"),
    ]
    assert "secret" not in caplog.text
    assert others == [b"free(): invalid pointer\n", b"\xff\n"]


def test_what_is_said_again_and_again_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()

    def lines():
        for now in (0.0, 1.0, 2.0, 61.0):
            clock.now = now
            yield GOAWAY

    native_log.sort(lines(), print, clock)
    assert [record.fields["left_out"] for record in caplog.records] == [0, 2]
