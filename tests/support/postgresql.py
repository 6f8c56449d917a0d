# SPDX-License-Identifier: Apache-2.0
"""A real PostgreSQL, of Debian's package, as a plain user's process in a temporary folder."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, text

NOBODY = 65534
STAMPS = Path(__file__).parents[2] / ".stamps/debian"


def programs() -> Path:
    """The folder of the newest server's programs, installed or unpacked."""
    found = [path.parent for root in (Path("/"), STAMPS) for path in (root / "usr/lib/postgresql").glob("*/bin/initdb")]
    assert found, "make test-system brings PostgreSQL"
    return max(found, key=lambda path: int(path.parent.name))


class Postgresql:
    """A server of its own. It refuses to run as root, so then it is nobody's."""

    def __init__(self, folder: Path, port: int) -> None:
        self._programs = programs()
        self._folder = folder
        self._port = port
        # Not by subprocess' own `user`, for which it forks: that runs the hooks of gRPC, and one crashed beside calls in flight.
        become = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--")
        self._become = become if os.geteuid() == 0 else ()
        self._process: subprocess.Popen[bytes] | None = None
        if self._become:
            os.chown(folder, NOBODY, NOBODY)
        self._run(
            "initdb",
            "--auth=trust",
            "--no-sync",
            "--no-instructions",
            "--username=imagier",
            "--locale=C.UTF-8",
            "--pgdata",
            str(folder / "data"),
        )

    def url(self, name: str) -> str:
        return f"postgresql://imagier@127.0.0.1:{self._port}/{name}"

    def start(self) -> None:
        """Start it, and return when it answers."""
        settings = (
            "listen_addresses=127.0.0.1",
            f"port={self._port}",
            f"unix_socket_directories={self._folder}",
            "shared_buffers=16MB",
        )
        flags = [part for each in settings for part in ("-c", each)]
        for _ in range(20):
            with (self._folder / "log").open("ab") as log:
                process = self._process = subprocess.Popen(
                    [*self._become, self._programs / "postgres", "-D", self._folder / "data", *flags],
                    cwd=self._folder,
                    stdout=log,
                    stderr=log,
                )
            while process.poll() is None:
                if self._answers():
                    return
            # A process of the server that was stopped may still hold its memory.
        raise AssertionError((self._folder / "log").read_text())

    def _answers(self) -> bool:
        asked = [self._programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self._port)]
        return subprocess.run(asked, check=False).returncode == 0

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """Stop it at once, without a clean end: the next start recovers."""
        if self._process:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None

    def database(self, name: str) -> str:
        """Create a database; return its URL."""
        engine = create_engine(self.url("postgres").replace("://", "+psycopg://"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return self.url(name)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [*self._become, self._programs / program, *arguments], cwd=self._folder, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()


@contextmanager
def postgresql(port: int) -> Iterator[Postgresql]:
    """A running server, whose folder is removed at the end."""
    # Not pytest's own folder, which only its user may enter; and a socket's path must be short.
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    try:
        server = Postgresql(folder, port)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
