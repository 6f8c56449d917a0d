# SPDX-License-Identifier: Apache-2.0
"""The stages of admission: in order, and each told at the end what succeeded, whatever happened."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress

import pytest
from imagier_server.admission.admission import Admission, Receipt, Stage, Work, largest
from imagier_server.admission.draining import Draining
from imagier_server.admission.limits import Limits
from imagier_server.call import CallContext, Lane
from imagier_server.errors import DrainingError, ImageTooLargeError, ImagierError, InternalError, OverloadedError
from imagier_server.messages import AnnotateRequest, KeywordsRequest, TaskOutcome
from imagier_server.metrics import Metrics
from support.calls import call

REQUEST = AnnotateRequest(b"a picture", {})
HALF = {"tags": TaskOutcome((), result=()), "ocr": TaskOutcome((), error=InternalError())}


class Stages:
    """Stages that say when they are entered, and by what they settle."""

    def __init__(self, *names: str, refusing: str = "") -> None:
        self.events: list[str] = []
        self.admission = Admission([self._stage(name, refuses=name == refusing) for name in names])

    def _stage(self, name: str, refuses: bool) -> Stage:
        @asynccontextmanager
        async def stage(_work: Work, _call: CallContext, receipt: Receipt) -> AsyncIterator[None]:
            if refuses:
                raise DrainingError(name)
            self.events.append(name)
            try:
                yield
            finally:
                await asyncio.sleep(0)  # settling may take a while
                self.events.append(f"{name} settles {', '.join(receipt.succeeded) or 'nothing'}")

        return stage


async def test_stages_come_in_order_and_settle_in_reverse_what_succeeded() -> None:
    stages = Stages("a", "b")
    async with stages.admission.admit(REQUEST, call()) as receipt:
        assert stages.events == ["a", "b"]
        receipt.outcomes = HALF
    assert stages.events == ["a", "b", "b settles tags", "a settles tags"]


async def test_a_refusal_asks_no_later_stage_and_settles_the_earlier_ones() -> None:
    stages = Stages("a", "b", "c", refusing="b")
    with pytest.raises(DrainingError):
        async with stages.admission.admit(REQUEST, call()):
            raise AssertionError("it was refused")
    assert stages.events == ["a", "a settles nothing"]


async def test_work_that_fails_settles_nothing() -> None:
    stages = Stages("a")
    with pytest.raises(InternalError):
        async with stages.admission.admit(REQUEST, call()):
            raise InternalError
    assert stages.events == ["a", "a settles nothing"]


@pytest.mark.parametrize("fails", [False, True])
async def test_a_stage_that_fails_to_settle_changes_neither_the_end_nor_the_other_stages(
    fails: bool, caplog: pytest.LogCaptureFixture
) -> None:
    @asynccontextmanager
    async def unsettled(_work: Work, _call: CallContext, _receipt: Receipt) -> AsyncIterator[None]:
        try:
            yield
        finally:
            raise KeyError("a bug")

    draining = Draining()
    admission = Admission((draining.stage, unsettled))
    with pytest.raises(DrainingError) if fails else nullcontext():
        async with admission.admit(REQUEST, call()):
            if fails:
                raise DrainingError("the work's own error")
    assert [record.message for record in caplog.records] == ["admission not settled"]
    async with asyncio.timeout(10):
        await draining.idle()


@pytest.mark.parametrize(("answered", "settled"), [(False, "nothing"), (True, "tags")])
async def test_work_that_is_cancelled_settles_what_was_answered(answered: bool, settled: str) -> None:
    stages = Stages("a")

    async def work() -> None:
        async with stages.admission.admit(REQUEST, call()) as receipt:
            if answered:
                receipt.outcomes = HALF
            await asyncio.Event().wait()

    running = asyncio.create_task(work())
    await asyncio.wait([running], timeout=0.01)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert running.cancelled()
    assert stages.events == ["a", f"a settles {settled}"]


async def test_a_server_asks_whether_it_drains_then_for_the_size_then_for_room() -> None:
    metrics = Metrics()
    draining = Draining()
    admission = Admission((draining.stage, largest(80), Limits(1, 100, draining, metrics).stage))

    async def refusal(size: int) -> type[ImagierError] | None:
        try:
            async with admission.admit(AnnotateRequest(bytes(size), {}), call()):
                assert metrics.registry.get_sample_value("imagier_in_flight_pictures") == 1
        except ImagierError as error:
            assert (error.retry_after is None) == isinstance(error, ImageTooLargeError)
            return type(error)
        return None

    assert await refusal(80) is None
    async with admission.admit(REQUEST, call()):
        assert await refusal(80) is OverloadedError
        assert await refusal(81) is ImageTooLargeError
        draining.begin()
        assert await refusal(81) is DrainingError
    assert metrics.registry.get_sample_value("imagier_in_flight_pictures") == 0


async def test_a_picture_of_a_stream_waits_for_room_where_a_call_is_refused() -> None:
    draining = Draining()
    admission = Admission((draining.stage, Limits(1, 100, draining, Metrics()).stage))

    async def bulk() -> None:
        async with admission.admit(REQUEST, call(Lane.BULK)):
            pass

    async with admission.admit(REQUEST, call()):
        with pytest.raises(OverloadedError):
            await admission.admit(REQUEST, call()).__aenter__()
        waiting = asyncio.create_task(bulk())
        await asyncio.wait([waiting], timeout=0.01)
        assert not waiting.done()
    await waiting


async def test_work_without_a_picture_is_never_too_large_a_picture() -> None:
    async with Admission([largest(3)]).admit(KeywordsRequest(("many words",)), call()):
        pass
