# SPDX-License-Identifier: Apache-2.0
"""Identifies the caller of a gRPC call before its message is read, and makes the call's context."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

import grpc

from imagier_server.call import CallContext, Caller, Identity, Lane, Transport, answer_by
from imagier_server.transport.credentials import Credentials, idempotency_key
from imagier_server.transport.peer import caller

_SUBJECTS = ("x509_subject_alternative_name", "x509_common_name")

_found: ContextVar[tuple[Caller, Identity | None] | None] = ContextVar("found", default=None)
"""Of the call that the current asyncio task handles: gRPC's own context takes no attributes."""


async def identified(credentials: Credentials, context: Any) -> Caller:
    """Identify the caller by the call's metadata or its certificate. Raises `UnauthenticatedError`."""
    identity = await credentials.identify(context.invocation_metadata() or (), _certificate_names(context))
    found = caller(context.peer(), identity)
    _found.set((found, identity))
    return found


def call_of(context: grpc.aio.ServicerContext[Any, Any], lane: Lane) -> CallContext:
    """The context of a call whose caller is identified. Raises `InvalidRequestError`."""
    found, identity = _found.get() or (caller(context.peer()), None)
    return CallContext(
        Transport.GRPC,
        lane,
        found,
        answer_by(context.time_remaining()),
        identity,
        idempotency_key(context.invocation_metadata() or ()),
    )


def _certificate_names(context: Any) -> tuple[str, ...]:
    """The names in the caller's certificate, which gRPC has verified; none without one."""
    found = context.auth_context()
    return tuple(name.decode("utf-8", "replace") for kind in _SUBJECTS if kind in found for name in found[kind])
