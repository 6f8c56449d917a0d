# SPDX-License-Identifier: Apache-2.0
"""Piwigo's plugin Piwigo AI: tickets that its site collects, or that are sent to it.

Read at f3dbcbe (0.0.4beta: GET /tickets) and 0304106 (0.0.6beta: POST /tickets/poll and ack). It reads bodies, never statuses.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from typing import Any

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from imagier_server.accounting import NoLedgerError
from imagier_server.call import CallContext, Caller, Identity, Lane
from imagier_server.errors import ImagierError, InvalidRequestError, LedgerUnavailableError
from imagier_server.settings import Settings
from imagier_server.tickets.desk import LONGEST_SECONDS, Desk
from imagier_server.tickets.ticket import Ticket, UnsealingSeal
from imagier_server.transport.credentials import bearer
from imagier_server.transport.http.addresses import Allowed
from imagier_server.transport.http.connecting import Connector
from imagier_server.transport.http.door import Door
from imagier_server.transport.http.facades.facade import Endpoint, Facade
from imagier_server.transport.http.facades.piwigo import asked, callbacks, results
from imagier_server.transport.http.facades.piwigo.callbacks import Callbacks, allowed, page_of
from imagier_server.transport.http.facades.piwigo.version import sends_files_when_pong, version_of
from imagier_server.transport.http.posting import Poster
from imagier_server.transport.statuses import http_headers, http_status

NAME = "piwigo"
_MOST_IDS = 1000
_LONGEST_ID = 64


class NeedsLedgerError(OSError):
    """The façade is asked for on a server without keys."""


@dataclass(frozen=True, slots=True)
class _Visitor:
    """Who calls: the desk, the call, who it is, and the seal of its key."""

    desk: Desk
    call: CallContext
    identity: Identity
    seal: UnsealingSeal


@dataclass(frozen=True, slots=True)
class _Api:
    callbacks: Callbacks

    async def analyze(self, request: Request, door: Door) -> Response:
        """POST /analyze: take the picture in; it is read later."""
        visitor = await _visitor(request, door)
        wish = await asked.read(await door.form(request, visitor.call))
        fetch = None
        if wish.url:
            if door.fetcher is None:
                raise InvalidRequestError("this server fetches no pictures by URL: send the file", field="imageUrl")
            door.fetcher.connector.checked(wish.url)
            fetch = partial(door.fetch, wish.url)
        deliver = None
        if wish.callback and allowed(wish.callback, visitor.identity.callbacks):
            deliver = partial(self._deliver, page_of(wish.callback), visitor.identity.key_id)
        ticket = Ticket(
            id=str(uuid.uuid4()),
            request=wish.request(vector=asked.takes_vector(door.space, visitor.identity)),
            call=_later(visitor.call),
            seal=visitor.seal,
            write=partial(results.written, languages=wish.languages),
            fetch=fetch,
            deliver=deliver,
        )
        cost = sum(door.gateway.accounting.prices[task] for task in ticket.request.tasks)
        await visitor.desk.submit(ticket)
        return JSONResponse(
            {"ticket_id": ticket.id, "ticket_status": "pending", "options": wish.options_text, "cost": cost}
        )

    async def ping(self, request: Request, door: Door) -> Response:
        """POST /ping: whether this server reaches the Piwigo, which decides whether the plugin sends files or URLs."""
        try:
            visitor = await _visitor(request, door)
            said = (await door.json(request, visitor.call)).value
            callback = said.get("callback") if isinstance(said, dict) else None
            if not isinstance(callback, str):
                raise InvalidRequestError("this must be the address of a Piwigo", field="callback")
            if not allowed(callback, visitor.identity.callbacks):
                # Nobody is called. What makes the plugin send files, which then need no way back, depends on its version.
                return JSONResponse({"pong": sends_files_when_pong(version_of(request.headers))})
            if await self.callbacks.reaches(callback):
                return JSONResponse({"pong": True})
            text = (
                "this server cannot reach the Piwigo: take its origin off the key's list, or let its network be reached"
            )
            return JSONResponse({"pong": False, "errors": text})
        except ImagierError as error:
            return JSONResponse(_content(error) | {"errors": error.text}, http_status(error), http_headers(error))

    async def _deliver(self, page: str, account: str, document: bytes) -> bool:
        return await self.callbacks.send(page, results.form(document, account))


async def tickets(request: Request, door: Door) -> Response:
    """GET /tickets: the results that are there; each is handed out once, and forgotten when it has been sent."""
    visitor = await _visitor(request, door)
    found = await visitor.desk.book.collect(visitor.identity.key_id)
    ids = [each.id for each in found]
    return JSONResponse(
        {"tickets": results.opened(found, visitor.seal)}, background=BackgroundTask(_wipe, visitor, ids)
    )


async def poll(request: Request, door: Door) -> Response:
    """POST /tickets/poll: of the tickets named, the results that are there; they are kept until /tickets/ack."""
    visitor = await _visitor(request, door)
    wanted = await _ids(request, door, visitor.call)
    found, pending = await visitor.desk.book.look(visitor.identity.key_id, wanted)
    missing = set(wanted) - pending - {each.id for each in found}
    content = {"tickets": results.opened(found, visitor.seal), "not_found": sorted(missing), "acked": []}
    return JSONResponse(content)


async def acknowledge(request: Request, door: Door) -> Response:
    """POST /tickets/ack: forget results that have arrived."""
    visitor = await _visitor(request, door)
    ids = await _ids(request, door, visitor.call)
    await visitor.desk.book.wipe(visitor.identity.key_id, ids)
    return JSONResponse({"acked": ids})


async def credits(request: Request, door: Door) -> Response:  # noqa: A001 - as the plugin calls it
    """GET /credits."""
    visitor = await _visitor(request, door)
    return JSONResponse({"credits": (await door.gateway.accounting.balance("", visitor.call)).available})


async def health(request: Request, door: Door) -> Response:
    """GET /health, without a key."""
    version_of(request.headers)
    return JSONResponse({"up": door.gateway.ready()})


def refuse(_request: Request, error: ImagierError) -> Response:
    """An error as the plugin reads it: in the body."""
    return JSONResponse(_content(error), http_status(error), http_headers(error))


def _content(error: ImagierError) -> dict[str, Any]:
    return {"status": http_status(error), "message": f"{error.field}: {error.text}" if error.field else error.text}


async def _visitor(request: Request, door: Door) -> _Visitor:
    """Raises `OutdatedClientError`, `UnauthenticatedError`, `NoLedgerError`, `LedgerUnavailableError`."""
    version_of(request.headers)
    secret = bearer(request.headers.items())
    call = await door.call_of(request, secret=secret)
    if door.gateway.tickets is None or call.identity is None:
        raise NoLedgerError("this server has no ledger, where results wait for Piwigo: start it with --ledger")
    from imagier_server.tickets.sealing import Seal  # noqa: PLC0415 - of the extra ledger

    return _Visitor(door.gateway.tickets, call, call.identity, Seal(secret))


def _later(call: CallContext) -> CallContext:
    """The call of work that goes on when the caller has its ticket: bulk, and bound to no connection."""
    deadline = asyncio.get_running_loop().time() + LONGEST_SECONDS
    caller = Caller(call.caller.group, "tickets")
    return replace(call, lane=Lane.BULK, caller=caller, deadline=deadline, idempotency_key="")


async def _ids(request: Request, door: Door, call: CallContext) -> list[str]:
    said = (await door.json(request, call)).value
    ids = said.get("ticket_ids") if isinstance(said, dict) else None
    if not isinstance(ids, list) or len(ids) > _MOST_IDS:
        raise InvalidRequestError(f"this must be a list of at most {_MOST_IDS} tickets", field="ticket_ids")
    if not all(isinstance(each, str) and len(each) <= _LONGEST_ID and each.isascii() for each in ids):
        raise InvalidRequestError("a ticket is a string of letters and digits", field="ticket_ids")
    return list(dict.fromkeys(ids))


async def _wipe(visitor: _Visitor, ids: Sequence[str]) -> None:
    with suppress(LedgerUnavailableError):  # then they are handed out again
        await visitor.desk.book.wipe(visitor.identity.key_id, ids)


@asynccontextmanager
async def opened(door: Door, settings: Settings) -> AsyncIterator[tuple[Endpoint, ...]]:
    """The endpoints of one server. Raises `NeedsLedgerError`."""
    if door.gateway.tickets is None and NAME in settings.http_facades:
        raise NeedsLedgerError("--http-facades piwigo needs keys: give --ledger, too")
    # http, too: the operator has named the origins.
    connector = Connector(Allowed(settings.http_fetch_networks), plain=True)
    poster = Poster(connector, settings.http_fetch_seconds, f"Imagier/{version('imagier')}")
    api = _Api(Callbacks(poster, callbacks.PAUSES))
    yield (
        Endpoint("/analyze", api.analyze),
        Endpoint("/ping", api.ping),
        Endpoint("/tickets", tickets, ("GET",)),
        Endpoint("/tickets/poll", poll),
        Endpoint("/tickets/ack", acknowledge),
        Endpoint("/credits", credits, ("GET",)),
        Endpoint("/health", health, ("GET",)),
    )


FACADE = Facade(NAME, (), refuse, "/piwigo", opened)
