# SPDX-License-Identifier: Apache-2.0
"""Bounds what a connection may do outside a request: their number, and the time for a request's head."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0
"""For a TLS handshake, a connection's first request, the head of each, and what remains of a body after its answer."""

CERTIFICATE_NAMES = "certificate_names"
"""In the state of a request: the names in the caller's certificate, which TLS has verified; none without one."""


class BoundedConnection(H11Protocol):
    """uvicorn's HTTP/1.1, which limits the size of a head, with a time limit for it and a limit of connections."""

    limit = 1024

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Close the connection at once if there are too many."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, CERTIFICATE_NAMES: _names(transport)}  # of each request's scope
        if len(self.connections) > self.limit:
            transport.abort()
        else:
            self._head = self.loop.call_later(HEAD_SECONDS, transport.close)

    def data_received(self, data: bytes) -> None:
        """Start the clock with a head's first byte; stop it when the request begins."""
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before and not self.cycle.response_complete:
            self._stop()
        elif self._head is None and (self.cycle is None or self.cycle.response_complete):
            self._head = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def on_response_complete(self) -> None:
        """A pipelined request begins."""
        before = self.cycle
        super().on_response_complete()
        if self.cycle is not before:
            self._stop()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop()
        super().connection_lost(exc)

    def _stop(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None


def _names(transport: asyncio.Transport) -> tuple[str, ...]:
    """Alternative names in order, then the common name, as gRPC has them."""
    tls = transport.get_extra_info("ssl_object")
    found = tls.getpeercert() if tls else None
    if not found:
        return ()
    common = (value for part in found.get("subject", ()) for kind, value in part if kind == "commonName")
    return (*(value for _, value in found.get("subjectAltName", ())), *common)
