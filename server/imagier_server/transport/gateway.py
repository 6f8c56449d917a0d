# SPDX-License-Identifier: Apache-2.0
"""The parts of the gateway that a transport needs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from imagier_server.accounting import Accounting
from imagier_server.admission.batches import Batches
from imagier_server.admission.draining import Draining
from imagier_server.admission.receiving import Receiving
from imagier_server.catalogue import Catalogue
from imagier_server.keyword_matching import KeywordMatching
from imagier_server.metrics import Metrics
from imagier_server.pipeline import Pipeline
from imagier_server.text_embedding import TextEmbedder
from imagier_server.tickets.desk import Desk
from imagier_server.transport.credentials import Credentials


@dataclass(frozen=True, slots=True)
class Gateway:
    """The parts. `catalogue` returns the current one, `ready` whether every model is; `trace` continues the trace in headers.

    `tickets` is None on a server without a ledger.
    """

    pipeline: Pipeline
    keywords: KeywordMatching
    texts: TextEmbedder
    accounting: Accounting
    catalogue: Callable[[], Catalogue]
    ready: Callable[[], bool]
    credentials: Credentials
    receiving: Receiving
    batches: Batches
    draining: Draining
    metrics: Metrics
    trace: Callable[[Any], AbstractContextManager[object]] = nullcontext
    tickets: Desk | None = None
