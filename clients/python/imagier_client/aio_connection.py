# SPDX-License-Identifier: Apache-2.0
"""The asyncio client's channel: made for the running event loop, tried again, and what it knows of the server."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Self, TypeVar, cast

import grpc
import grpc.aio
from imagier.v1 import account_pb2_grpc, annotator_pb2_grpc, catalog_pb2

from imagier_client import account
from imagier_client.arguments import seconds
from imagier_client.channel import endpoint
from imagier_client.codec import decode_catalog
from imagier_client.errors import FORKED, ClientStateError, DeadlineError, ImagierClientError
from imagier_client.messages import Catalog, Limits
from imagier_client.retry import Attempts, RetryPolicy
from imagier_client.window import Waiting

if TYPE_CHECKING:
    from imagier.v1.account_pb2_grpc import AccountServiceAsyncStub
    from imagier.v1.annotator_pb2_grpc import AnnotatorServiceAsyncStub

T = TypeVar("T")


class AsyncConnection:
    """What `AsyncClient` calls through; its arguments are explained there."""

    def __init__(
        self,
        target: str,
        *,
        timeout: float | None = 60.0,
        credentials: grpc.ChannelCredentials | None = None,
        key: str | None = None,
        retry: RetryPolicy | None = None,
        on_wait: Callable[[Waiting], object] | None = None,
    ) -> None:
        self._endpoint = endpoint(target)
        self._timeout = seconds(timeout)
        self._metadata = account.metadata(key)
        self._credentials = credentials
        self._retry = retry or RetryPolicy()
        self._on_wait = on_wait
        self._limits: Limits | None = None
        self._sleep = asyncio.sleep
        self._channel: grpc.aio.Channel | None = None
        self._loop: asyncio.AbstractEventLoop
        self._pid: int
        self._closed = False

    async def __aenter__(self) -> Self:
        self._closed = False
        self._connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the channel. Calls in flight fail."""
        self._closed = True
        channel, self._channel = self._channel, None
        if channel is not None and self._pid == os.getpid() and not self._loop.is_closed():
            await channel.close(None)

    @property
    def _stub(self) -> AnnotatorServiceAsyncStub:
        self._connect()
        return self._made_stub

    @property
    def _accounts(self) -> AccountServiceAsyncStub:
        return cast("AccountServiceAsyncStub", account_pb2_grpc.AccountServiceStub(self._connect()))

    def _connect(self) -> grpc.aio.Channel:
        """The channel. It belongs to the running event loop, so it is made here and not in the constructor."""
        loop = asyncio.get_running_loop()
        if self._closed:
            raise ClientStateError("this client is closed")
        if self._channel is not None:
            if self._pid != os.getpid():
                raise ClientStateError(FORKED)
            if self._loop is loop:
                return self._channel
            if not self._loop.is_closed():
                raise ClientStateError("this client belongs to another event loop: make one in each")
        self._loop, self._pid = loop, os.getpid()
        self._limits_lock = asyncio.Lock()
        self._channel = (
            grpc.aio.secure_channel(self._endpoint.uri, self._credentials, options=self._endpoint.options)
            if self._credentials
            else grpc.aio.insecure_channel(self._endpoint.uri, options=self._endpoint.options)
        )
        self._made_stub = cast("AnnotatorServiceAsyncStub", annotator_pb2_grpc.AnnotatorServiceStub(self._channel))
        return self._channel

    def _attempts(self, timeout: float | None, policy: RetryPolicy | None = None) -> Attempts:
        return Attempts(policy or self._retry, self._timeout if timeout is None else seconds(timeout))

    async def _call(self, method: Callable[[float | None], Awaitable[T]], attempts: Attempts) -> T:
        while True:
            try:
                return await method(attempts.remaining())
            except grpc.aio.AioRpcError as error:
                delay = attempts.failed(self._endpoint.failure(error))
            except ImagierClientError as error:
                delay = attempts.failed(error)
            await self._sleep(delay)

    async def _catalog(self, attempts: Attempts) -> Catalog:
        request = catalog_pb2.GetCatalogRequest()
        catalog = decode_catalog(
            await self._call(
                lambda left: self._stub.GetCatalog(request, timeout=left, metadata=self._metadata), attempts
            )
        )
        self._limits = catalog.limits
        return catalog

    async def _known_limits(self, attempts: Attempts) -> Limits:
        self._connect()
        if self._limits is None:
            try:
                async with asyncio.timeout(attempts.remaining()):
                    await self._limits_lock.acquire()
            except TimeoutError:
                raise DeadlineError("the server's catalogue does not come") from None
            try:
                return self._limits or (await self._catalog(attempts)).limits
            finally:
                self._limits_lock.release()
        return self._limits
