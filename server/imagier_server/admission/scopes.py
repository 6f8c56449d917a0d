# SPDX-License-Identifier: Apache-2.0
"""Refuses work that the caller's key does not allow, and that of a key revoked since the call began."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from imagier_server.admission.admission import Receipt, Stage, Work
from imagier_server.call import TASKS, CallContext, Identity
from imagier_server.errors import ForbiddenError


class Keyring(Protocol):
    """The keys of a server."""

    async def check(self, identity: Identity) -> None:
        """Raises `UnauthenticatedError` if the key is valid no longer."""
        ...


def scoped(keyring: Keyring | None) -> Stage:
    """The stage that admits the tasks in the key's scopes; all of them without a keyring.

    Raises `ForbiddenError`, `UnauthenticatedError`.
    """

    @asynccontextmanager
    async def stage(work: Work, call: CallContext, _receipt: Receipt) -> AsyncIterator[None]:
        if keyring and call.identity:
            await keyring.check(call.identity)  # a stream may run for hours
        if call.identity and TASKS not in call.identity.scopes:
            for task in work.tasks:
                if task not in call.identity.scopes:
                    raise ForbiddenError(f"this key does not allow the task {task}", field=task)
        yield

    return stage
