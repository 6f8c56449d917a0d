# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from imagier_server.errors import InternalError
from imagier_server.messages import AnnotateRequest, TaskOutcome
from imagier_server.tasks.tags.values import TagsOptions
from imagier_server.tickets.sealing import Seal
from imagier_server.tickets.ticket import Answer, Ticket
from support.calls import call


async def test_the_picture_is_dropped_whoever_has_the_request() -> None:
    request = AnnotateRequest(b"a picture", {"tags": TagsOptions()})
    Ticket("t1", request, call(), Seal("key"), lambda ticket, answer: b"").let_go()
    assert request.image == b""
    assert set(request.tasks) == {"tags"}


def test_the_cost_is_that_of_what_succeeded() -> None:
    outcomes = {"tags": TaskOutcome((), cost=2), "ocr": TaskOutcome((), error=InternalError())}
    assert Answer(outcomes, 1.0).cost == 2
