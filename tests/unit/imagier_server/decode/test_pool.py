# SPDX-License-Identifier: Apache-2.0
"""Real decoder processes."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import signal
import threading
from collections.abc import AsyncIterator

import psutil
import pytest
from imagier_server.call import Lane
from imagier_server.decode import process
from imagier_server.decode.confinement import Confinement
from imagier_server.decode.pool import DecoderPool
from imagier_server.decode.process import (
    DecoderCrashedError,
    DecoderInterruptedError,
    DecoderOverrunError,
    DecoderProcess,
    DecoderUnavailableError,
)
from imagier_server.decode.refusals import Caps
from imagier_server.errors import ImageTooLargeError, InternalError, InvalidImageError
from imagier_server.metrics import Metrics
from PIL import Image
from support.calls import call


def png(width: int = 64, height: int = 48) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(file, "PNG")
    return file.getvalue()


def whole(width: int, height: int) -> float:
    del width, height
    return 1.0


def end(pid: int) -> None:
    """Kills it, and waits until the kernel has done so; nobody has taken note of it yet."""
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def no_thread(thread: threading.Thread) -> None:
    raise RuntimeError(f"can't start new thread {thread.name}")


@pytest.fixture
async def pool() -> AsyncIterator[DecoderPool]:
    async with DecoderPool(2, Caps(1_000_000, 5_000), 2 << 30, 20.0, Metrics()) as running:
        yield running


async def test_decodes(pool: DecoderPool) -> None:
    picture = await pool.decode(png(), lambda *_: 0.5, call(Lane.INTERACTIVE))
    assert picture.pixels.shape == (24, 32, 3)
    assert (picture.width, picture.height) == (64, 48)
    assert tuple(picture.pixels[0, 0]) == (0, 128, 128)


async def test_refusals_leave_the_worker_alive(pool: DecoderPool) -> None:
    before = sorted(pool.pids)
    with pytest.raises(InvalidImageError):
        await pool.decode(b"nothing", whole, call(Lane.BULK))
    with pytest.raises(ImageTooLargeError):
        await pool.decode(png(5001, 1), whole, call(Lane.BULK))
    with pytest.raises(InvalidImageError, match="damaged"):
        await pool.decode(png()[:-30], whole, call(Lane.BULK))
    assert (await pool.decode(png(), whole, call(Lane.BULK))).width == 64
    assert sorted(pool.pids) == before


@pytest.mark.parametrize(
    ("how", "error"), [(signal.SIGSEGV, DecoderCrashedError), (signal.SIGKILL, DecoderInterruptedError)]
)
async def test_a_death_fails_its_own_picture_and_the_pool_heals(
    pool: DecoderPool, how: signal.Signals, error: type[Exception]
) -> None:
    crashed = os.getpid()

    def crash(*_: int) -> float:
        """Runs in the gateway while the worker waits for the scale: the moment to kill it."""
        nonlocal crashed
        children = {child.pid for child in psutil.Process().children()}
        crashed = (children - set(pool.pids)).pop()
        os.kill(crashed, how)
        return 1.0

    with pytest.raises(error):
        await pool.decode(png(), crash, call(Lane.BULK))
    answers = await asyncio.gather(*(pool.decode(png(), whole, call(Lane.BULK)) for _ in range(8)))
    assert [answer.width for answer in answers] == [64] * 8
    assert len(pool.pids) == 2
    assert crashed not in pool.pids


async def test_one_that_is_suspended_is_replaced() -> None:
    async with DecoderPool(1, Caps(1_000_000, 5_000), 2 << 30, 1.0, Metrics()) as pool:

        def stall(*_: int) -> float:
            child = psutil.Process().children()[0]
            child.suspend()
            return 1.0

        with pytest.raises(DecoderInterruptedError):
            await pool.decode(png(), stall, call(Lane.BULK))
        assert (await pool.decode(png(), whole, call(Lane.BULK))).width == 64


async def test_an_overrun_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_PATIENCE", 200)  # the machine may be as busy as it likes
    async with DecoderPool(1, Caps(100_000_000, 30_000), 2 << 30, 0.05, Metrics()) as pool:
        with pytest.raises(DecoderOverrunError):
            await pool.decode(png(8000, 8000), whole, call(Lane.BULK))
        assert (await pool.decode(png(), whole, call(Lane.BULK))).width == 64


async def test_lanes_interactive_first() -> None:
    async with DecoderPool(1, Caps(1_000_000, 5_000), 2 << 30, 20.0, Metrics()) as pool:
        order: list[str] = []

        async def decode(name: str, lane: Lane) -> None:
            await pool.decode(png(), whole, call(lane))
            order.append(name)

        async with asyncio.TaskGroup() as group:
            group.create_task(decode("first", Lane.BULK))
            group.create_task(decode("bulk", Lane.BULK))
            group.create_task(decode("interactive", Lane.INTERACTIVE))
        assert order == ["first", "interactive", "bulk"]


async def test_a_caller_that_leaves_the_queue_costs_nothing() -> None:
    async with DecoderPool(1, Caps(1_000_000, 5_000), 2 << 30, 20.0, Metrics()) as pool:
        tasks = [asyncio.create_task(pool.decode(png(), whole, call(Lane.BULK))) for _ in range(4)]
        await asyncio.wait(tasks[:1], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks[1:3]:
            task.cancel()
        assert (await tasks[3]).width == 64
        assert (await pool.decode(png(), whole, call(Lane.BULK))).width == 64


async def test_stopping_leaves_no_process() -> None:
    async with DecoderPool(2, Caps(1_000_000, 5_000), 2 << 30, 20.0, Metrics()) as pool:
        workers = [psutil.Process(pid) for pid in pool.pids]
    assert not any(worker.is_running() for worker in workers)


async def test_how_well_decoders_are_closed_in_is_said_once_at_start(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    async with DecoderPool(2, Caps(1, 1), 2 << 30, 20.0, Metrics()):
        (said,) = [record for record in caplog.records if record.getMessage() == "decoder confinement"]
    assert said.fields.keys() == {"landlock", "seccomp"}
    assert said.levelno == (logging.INFO if said.fields["landlock"] and said.fields["seccomp"] else logging.WARNING)
    caplog.clear()
    monkeypatch.setattr(DecoderProcess, "confinement", lambda _: Confinement(0, seccomp=True))
    async with DecoderPool(1, Caps(1, 1), 2 << 30, 20.0, Metrics()):
        (said,) = [record for record in caplog.records if record.getMessage() == "decoder confinement"]
    assert (said.levelno, said.fields) == (logging.WARNING, {"landlock": 0, "seccomp": True})


@pytest.mark.parametrize("executable", ["/bin/false", "/nowhere/python"])
async def test_decoders_that_do_not_start_are_said_at_start(monkeypatch: pytest.MonkeyPatch, executable: str) -> None:
    monkeypatch.setattr(process.sys, "executable", executable)
    with pytest.raises(ChildProcessError, match="do not start"):
        async with DecoderPool(2, Caps(1, 1), 2 << 30, 20.0, Metrics()):
            raise AssertionError
    assert psutil.Process().children() == []


async def test_no_thread_has_to_start_for_a_picture(pool: DecoderPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading.Thread, "start", no_thread)
    pictures = await asyncio.gather(*(pool.decode(png(), whole, call(Lane.BULK)) for _ in range(6)))
    assert [picture.width for picture in pictures] == [64] * 6


async def test_threads_that_do_not_start_are_said_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    starting = threading.Thread.start
    monkeypatch.setattr(
        threading.Thread,
        "start",
        lambda thread: no_thread(thread) if thread.name.endswith("decode_1") else starting(thread),
    )
    with pytest.raises(ChildProcessError, match="do not start"):
        async with DecoderPool(2, Caps(1, 1), 2 << 30, 20.0, Metrics()):
            raise AssertionError
    assert psutil.Process().children() == []


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_to_all_processes_leaves_the_picture_under_way(pool: DecoderPool, told: signal.Signals) -> None:
    def in_the_middle(width: int, height: int) -> float:
        for decoder in psutil.Process().children():
            decoder.send_signal(told)
        return 1.0

    assert (await pool.decode(png(), in_the_middle, call(Lane.BULK))).width == 64
    assert (await pool.decode(png(), whole, call(Lane.BULK))).width == 64


async def test_one_that_ended_while_idle_is_replaced_before_the_next_picture(pool: DecoderPool) -> None:
    before = set(pool.pids)
    for pid in before:
        end(pid)
    assert (await pool.decode(png(), whole, call(Lane.BULK))).width == 64
    assert len(set(pool.pids) - before) == 1


async def test_one_that_cannot_be_replaced_is_tried_again(pool: DecoderPool, monkeypatch: pytest.MonkeyPatch) -> None:
    for pid in pool.pids:
        end(pid)
    with monkeypatch.context() as patch:
        patch.setattr(process.sys, "executable", "/nowhere/python")
        with pytest.raises(DecoderUnavailableError):
            await pool.decode(png(), whole, call(Lane.BULK))
    assert (await pool.decode(png(), whole, call(Lane.BULK))).width == 64


async def test_a_bug_of_ours_is_internal_and_the_decoder_is_replaced(pool: DecoderPool) -> None:
    before = set(pool.pids)
    with pytest.raises(InternalError):
        await pool.decode(png(), lambda *_: 1 // 0, call(Lane.BULK))
    assert len(before - set(pool.pids)) == 1
    assert (await pool.decode(png(), whole, call(Lane.BULK))).width == 64
