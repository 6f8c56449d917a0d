# SPDX-License-Identifier: Apache-2.0
"""Parts that only some servers have, made where the settings ask for them. Some need an extra."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from imagier_server.admission.admission import Stage
from imagier_server.metrics import Metrics
from imagier_server.model_lock import LockedModel
from imagier_server.settings import Settings
from imagier_server.transport.certificates import Certificates
from imagier_server.transport.receipt import serialize

if TYPE_CHECKING:
    from imagier_server.receipts import Signer
    from imagier_server.tracing import Tracing


def certificates(settings: Settings) -> Certificates | None:
    """The TLS files. Raises `CertificateError`."""
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    return Certificates(settings.tls_certificate, settings.tls_key, settings.tls_client_ca)


def signer(settings: Settings, models: Mapping[str, LockedModel]) -> Signer | None:
    """The signer of processing receipts. Raises `ReceiptKeyError`, `ImportError`."""
    if settings.receipt_key is None:
        return None
    try:
        from imagier_server.receipts import Signer, read_key  # noqa: PLC0415
    except ImportError as error:
        raise ImportError("receipts are asked for: install imagier[receipts]") from error
    digests = {role: model.source_digest for role, model in models.items()}
    return Signer(read_key(settings.receipt_key), version("imagier"), digests, serialize)


async def usage_events(settings: Settings, metrics: Metrics, stack: AsyncExitStack) -> Sequence[Stage]:
    """The stage of admission that tells of usage; none unless asked for. Raises `ImportError`."""
    if settings.usage_events is None:
        return ()
    try:
        from imagier_server.usage_events import UsageEvents, to_file, to_url  # noqa: PLC0415
    except ImportError as error:
        raise ImportError("usage events are asked for: install imagier[usage]") from error
    where = settings.usage_events
    sink = to_url(where, settings.usage_events_token) if "://" in where else to_file(Path(where))
    events = UsageEvents(sink, metrics)
    await stack.enter_async_context(events.running())
    return (events.stage,)


def tracing(settings: Settings, stack: AsyncExitStack) -> Tracing | None:
    """The traces, which `stack` closes. Raises `ImportError`."""
    if settings.traces is None:
        return None
    try:
        from imagier_server.tracing import to_collector  # noqa: PLC0415
    except ImportError as error:
        raise ImportError("traces are asked for: install imagier[tracing]") from error
    made = to_collector(settings.traces)
    stack.push_async_callback(asyncio.to_thread, made.close)
    return made
