# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from imagier_server.errors import Code
from imagier_server.outcomes import CODES, OUTCOMES, Outcome
from imagier_server.transport.statuses import STATUSES


def test_every_end_of_a_task_means_something_to_the_objectives() -> None:
    assert OUTCOMES.keys() == set(CODES)
    assert set(OUTCOMES.values()) == set(Outcome)


def test_callers_are_to_blame_where_http_says_so() -> None:
    for code in Code:
        callers = STATUSES[code].http < 500 and code is not Code.EXHAUSTED
        assert (OUTCOMES[code] is Outcome.CLIENT_ERROR) == (callers or code is Code.UNSUPPORTED), code
