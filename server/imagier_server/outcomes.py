# SPDX-License-Identifier: Apache-2.0
"""How work and engines end, as the metrics say it: the values of the labels `code`, `outcome` and `reason`."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from imagier_server.errors import Code

OK, CANCELLED, FAILED = "ok", "cancelled", "failed"
CODES = (OK, CANCELLED, *Code)
"""The values of the label `code`."""

_OF_CALLERS = {Code.UNAUTHENTICATED, Code.FORBIDDEN, Code.UNPAID, Code.NOT_FOUND}
ENGINE_CODES = tuple(code for code in CODES if code not in _OF_CALLERS)
"""Those of inference requests."""


class Outcome(StrEnum):
    """Outcome of a task for the objectives: only the last two are the server's fault."""

    OK = "ok"
    CLIENT_ERROR = "client_error"
    SERVER_ERROR = "server_error"
    REJECTED = "rejected"


OUTCOMES: Mapping[str, Outcome] = {
    OK: Outcome.OK,
    CANCELLED: Outcome.CLIENT_ERROR,
    Code.INVALID: Outcome.CLIENT_ERROR,
    Code.UNAUTHENTICATED: Outcome.CLIENT_ERROR,
    Code.FORBIDDEN: Outcome.CLIENT_ERROR,
    Code.UNPAID: Outcome.CLIENT_ERROR,
    Code.NOT_FOUND: Outcome.CLIENT_ERROR,
    Code.UNSUPPORTED: Outcome.CLIENT_ERROR,
    Code.EXHAUSTED: Outcome.REJECTED,
    Code.UNAVAILABLE: Outcome.SERVER_ERROR,
    Code.DEADLINE: Outcome.SERVER_ERROR,
    Code.INTERNAL: Outcome.SERVER_ERROR,
}


class RestartReason(StrEnum):
    """Why the embedded Triton was restarted: a fault of Triton itself or of one model."""

    ENDED = "ended"
    STOPPED = "stopped"
    PROCESS_ENDED = "process_ended"
    PROCESS_STOPPED = "process_stopped"
    OUT_OF_STEP = "out_of_step"
    HUNG = "hung"
    FAILING = "failing"
    ERRING = "erring"
    NOT_STARTED = "not_started"
