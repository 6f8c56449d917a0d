# SPDX-License-Identifier: Apache-2.0
"""The ledger in a real PostgreSQL: the same tests as in SQLite."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from imagier_server.ledger.database import Database
from support.key_cases import *  # noqa: F403
from support.ledger_cases import *  # noqa: F403
from support.ledger_model import *  # noqa: F403
from support.postgresql import Postgresql, postgresql
from support.ticket_cases import *  # noqa: F403

names = (f"ledger{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def server(unused_tcp_port_factory: Callable[[], int]) -> Iterator[Postgresql]:
    with postgresql(unused_tcp_port_factory()) as server:
        yield server


@pytest.fixture
def database(server: Postgresql) -> Iterator[Database]:
    with closing(Database(server.database(next(names)))) as made:
        made.migrate()
        yield made
