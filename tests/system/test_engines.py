# SPDX-License-Identifier: Apache-2.0
"""Three real Tritons behind a name that the resolver of this machine looks up, and two real gateways: killed, stopped, added,
taken away and restarted under load, and no request fails."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from imagier_client import Annotation, AsyncClient, RetryPolicy, Tags
from PIL import Image
from support.real_server import REPOSITORY, encoded

pytestmark = pytest.mark.whole_machine

BARE_TRITON = Path(__file__).parents[1] / "support" / "bare_triton.py"
PICTURE = encoded(Image.new("RGB", (320, 240), "navy"), "JPEG")
# A process with its own /etc/hosts; without being root, too.
INSIDE = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"')
PATIENCE = 60


def free_port(host: str = "127.0.0.1") -> int:
    with socket.socket() as free:
        free.bind((host, 0))
        return int(free.getsockname()[1])


def metric(address: str, name: str) -> float:
    """The sum over its series."""
    with urllib.request.urlopen(f"http://{address}/metrics") as answer:
        text = answer.read().decode()
    return sum(float(value) for value in re.findall(rf"^{name}(?:\{{.*\}})? (\S+)$", text, re.MULTILINE))


class Tritons:
    """Real Tritons at 127.0.0.N, all on one port; and the hosts file that says which of them `triton` means."""

    def __init__(self, hosts: Path) -> None:
        self.hosts = hosts
        self.port = free_port()
        self._processes: dict[int, subprocess.Popen[str]] = {}
        self._pids: dict[int, int] = {}
        self._metrics: dict[int, str] = {}

    def start(self, *numbers: int) -> None:
        for number in numbers:
            if before := self._processes.get(number):
                before.communicate(timeout=PATIENCE)
            command = [sys.executable, str(BARE_TRITON), f"127.0.0.{number}", str(self.port)]
            self._processes[number] = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        for number in numbers:
            pid, self._metrics[number] = self._processes[number].stdout.readline().split()
            self._pids[number] = int(pid)

    def send(self, number: int, what: signal.Signals) -> None:
        os.kill(self._pids[number], what)

    def taken(self, number: int) -> float:
        """Inferences that it has run."""
        return metric(self._metrics[number], "nv_inference_request_success")

    def name(self, *numbers: int) -> None:
        """From now on `triton` means these. Written in place: what is mounted is this file, not its name."""
        self.hosts.write_text("".join(f"127.0.0.{number} triton\n" for number in numbers), encoding="ascii")

    def close(self) -> None:
        for process in self._processes.values():
            process.stdin.close()
        for process in self._processes.values():
            process.wait(PATIENCE)


@pytest.fixture(scope="module")
def tritons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tritons]:
    made = Tritons(tmp_path_factory.mktemp("hosts") / "hosts")
    made.name(2)
    try:
        made.start(2, 3, 4)
        yield made
    finally:
        made.close()


class Gateway:
    """A real gateway that looks up `triton`."""

    def __init__(self, process: subprocess.Popen[bytes], address: str, metrics_port: int) -> None:
        self.process = process
        self.address = address
        self._metrics = f"127.0.0.1:{metrics_port}"

    def stop(self) -> None:
        """As an init system or a kubelet does."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE) == 0

    def metric(self, name: str) -> float:
        return metric(self._metrics, name)

    async def up(self, engines: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while await asyncio.to_thread(self.metric, "imagier_engines_up") != engines:
                pass

    async def used(self) -> None:
        """Returns once the clients have found it."""
        async with asyncio.timeout(PATIENCE):
            while await asyncio.to_thread(self.metric, "imagier_tasks_total") == 0:
                pass


@contextmanager
def gateway(tritons: Tritons, port: int = 0) -> Iterator[Gateway]:
    metrics_port = free_port()
    read, write = os.pipe()
    command: Sequence[str] = [
        *INSIDE,
        str(tritons.hosts),
        *(sys.executable, "-m", "imagier_client.cli", "serve", "--model-repository", str(REPOSITORY)),
        *("--port", str(port), "--metrics-port", str(metrics_port), "--decoders", "1", "--ready-fd", str(write)),
        *("--engine", f"dns:///triton:{tritons.port}", "--engine-resolve-seconds", "0.5"),
    ]
    process = subprocess.Popen(command, pass_fds=[write])
    os.close(write)
    try:
        with os.fdopen(read) as ready:
            address = ready.readline().strip()
        assert address
        yield Gateway(process, address, metrics_port)
    finally:
        process.kill()
        process.wait(PATIENCE)


class Load:
    """Calls, and a stream, without a pause; a failure ends the test, for nobody tries again but who is told to."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._done = {"calls": 0, "stream": 0}
        self.over = False

    async def more(self, pictures: int = 20) -> None:
        """Returns when both have gone on."""
        before = dict(self._done)
        async with asyncio.timeout(PATIENCE):
            while any(done < before[kind] + pictures for kind, done in self._done.items()):  # noqa: ASYNC110
                await asyncio.sleep(0)

    async def calls(self) -> None:
        while not self.over:
            assert (await self._client.annotate(PICTURE, Tags())).tags.ok
            self._done["calls"] += 1

    async def stream(self) -> None:
        async for _, outcome in self._client.annotate_many(self._pictures(), Tags(), in_flight=4):
            assert isinstance(outcome, Annotation), outcome
            assert outcome.tags.ok, outcome.tags.error
            self._done["stream"] += 1

    def _pictures(self) -> Iterator[tuple[int, bytes]]:
        number = 0
        while not self.over:
            yield number, PICTURE
            number += 1


@asynccontextmanager
async def under_load(target: str, retry: RetryPolicy | None = None) -> AsyncIterator[Load]:
    async with AsyncClient(target, retry=retry) as client, asyncio.TaskGroup() as group:
        load = Load(client)
        for work in (load.calls, load.calls, load.calls, load.stream):
            group.create_task(work())
        yield load
        load.over = True


async def test_tritons_killed_stopped_added_and_taken_away(tritons: Tritons) -> None:
    with gateway(tritons) as running:
        # The client never tries again: what the gateway does not mend, fails the test.
        async with under_load(running.address, RetryPolicy(max_attempts=1)) as load:
            await running.up(1)
            await load.more()
            tritons.name(2, 3, 4)
            await running.up(3)
            await load.more()
            assert min(tritons.taken(number) for number in (2, 3, 4)) > 0

            tritons.send(3, signal.SIGKILL)
            await running.up(2)
            await load.more()
            assert running.metric("imagier_engine_ejections_total") == 1

            await asyncio.to_thread(tritons.start, 3)
            await running.up(3)
            before = tritons.taken(3)
            await load.more()
            assert tritons.taken(3) > before

            tritons.send(4, signal.SIGTERM)  # finishes what it has, takes nothing new
            await running.up(2)
            await load.more()

            tritons.name(3)
            await running.up(1)
            await load.more()  # what was under way there is over
            before = tritons.taken(2)
            await load.more()
            assert tritons.taken(2) == before
        assert running.metric('imagier_tasks_total{code="ok",task="tags"}') > 0
        running.stop()


async def test_gateways_restarted_in_turn(tritons: Tritons) -> None:
    ports = {number: free_port() for number in (1, 2)}
    tritons.name(2, 3)
    with ExitStack() as stack:
        running = {number: stack.enter_context(gateway(tritons, port)) for number, port in ports.items()}
        async with under_load(",".join(f"127.0.0.1:{port}" for port in ports.values())) as load:
            for number, port in ports.items():
                await load.more()
                await asyncio.to_thread(running[number].stop)
                await load.more()
                running[number] = await asyncio.to_thread(stack.enter_context, gateway(tritons, port))
                await running[number].used()
            running[1].process.kill()  # no goodbye: the call breaks off, and is made again
            await load.more()
