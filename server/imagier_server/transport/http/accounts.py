# SPDX-License-Identifier: Apache-2.0
"""/v1/account and /v1/usage: AccountService for people."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from imagier_server.errors import InvalidRequestError
from imagier_server.transport.account import to_balance, to_usage
from imagier_server.transport.http.door import Door
from imagier_server.transport.http.facades.facade import Endpoint
from imagier_server.transport.http.v1 import rendered


async def account(request: Request, door: Door) -> Response:
    """What is left of a tenant's credits. Raises `ImagierError`."""
    call = await door.call_of(request)
    _expect(request, {"tenant"})
    return rendered(to_balance(await door.gateway.accounting.balance(request.query_params.get("tenant", ""), call)))


async def usage(request: Request, door: Door) -> Response:
    """What a tenant used, by day and task. Raises `ImagierError`."""
    call = await door.call_of(request)
    _expect(request, {"tenant", "first_day", "last_day"})
    for name in ("first_day", "last_day"):
        if request.query_params.get(name) == "":  # the contract's "not set"
            raise InvalidRequestError("write a day as in 2026-01-31, or leave it out", field=name)
    tenant, first, last = (request.query_params.get(name, "") for name in ("tenant", "first_day", "last_day"))
    return rendered(to_usage(await door.gateway.accounting.usage(tenant, first, last, call)))


def _expect(request: Request, known: set[str]) -> None:
    if request.query_params.keys() - known:
        raise InvalidRequestError("there is no such field: see /openapi.json")


ENDPOINTS = (
    Endpoint("/v1/account", account, ("GET",)),
    Endpoint("/v1/usage", usage, ("GET",)),
)
