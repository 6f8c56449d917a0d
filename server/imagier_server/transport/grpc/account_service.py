# SPDX-License-Identifier: Apache-2.0
"""AccountService: message → accounting → message."""

from __future__ import annotations

from typing import Any

import grpc
from imagier.v1 import account_pb2, account_pb2_grpc

from imagier_server.accounting import Accounting
from imagier_server.call import Lane
from imagier_server.transport.account import to_balance, to_quote, to_usage
from imagier_server.transport.grpc.calls import call_of

_Context = grpc.aio.ServicerContext[Any, Any]


class AccountService(account_pb2_grpc.AccountServiceServicer):
    """The service of one server. Interceptors turn an `ImagierError` into a status."""

    def __init__(self, accounting: Accounting) -> None:
        self._accounting = accounting

    async def GetBalance(  # noqa: N802 - gRPC's name
        self, request: account_pb2.GetBalanceRequest, context: _Context
    ) -> account_pb2.GetBalanceResponse:
        """What is left."""
        return to_balance(await self._accounting.balance(request.tenant, call_of(context, Lane.INTERACTIVE)))

    async def ListUsage(  # noqa: N802 - gRPC's name
        self, request: account_pb2.ListUsageRequest, context: _Context
    ) -> account_pb2.ListUsageResponse:
        """What was used."""
        call = call_of(context, Lane.INTERACTIVE)
        return to_usage(await self._accounting.usage(request.tenant, request.first_day, request.last_day, call))

    async def QuoteAnnotate(  # noqa: N802 - gRPC's name
        self, request: account_pb2.QuoteAnnotateRequest, context: _Context
    ) -> account_pb2.QuoteAnnotateResponse:
        """What work would cost."""
        call = call_of(context, Lane.INTERACTIVE)
        return to_quote(await self._accounting.quote(request.tasks, request.pictures, call))
