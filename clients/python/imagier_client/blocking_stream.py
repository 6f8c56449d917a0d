# SPDX-License-Identifier: Apache-2.0
"""The gRPC stream of Client.annotate_many, over gRPC's blocking stubs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, Queue
from typing import Any, TypeVar

import grpc
from imagier.v1 import annotator_pb2, annotator_pb2_grpc

from imagier_client.account import Metadata
from imagier_client.channel import GOODBYE_SECONDS, Endpoint
from imagier_client.errors import DeadlineError, ImagierClientError
from imagier_client.window import Answer, Window

K = TypeVar("K")


class Stream:
    """Keeps one AnnotateStream call open while there is something to send; gives up after `silence` seconds without an answer."""

    def __init__(
        self,
        stub: Callable[[], annotator_pb2_grpc.AnnotatorServiceStub],
        endpoint: Endpoint,
        silence: float,
        metadata: Metadata = (),
    ) -> None:
        self._stub = stub
        self._metadata = metadata
        self._endpoint = endpoint
        self._silence = silence
        self._moved = time.monotonic()
        self._call: _Call | None = None

    def move(self, window: Window[Any]) -> None:
        """Sends what is due."""
        while (request := window.next_to_send()) is not None:
            if not self._call:
                self._call = _Call(self._stub(), window.size, self._endpoint, self._metadata)
            self._call.send(request)

    def take(self, window: Window[K]) -> Answer[K] | None:
        """An answer for the caller, if one comes before more is to be sent. A call that has ended is reported to the window.

        Raises DeadlineError if what was asked is not answered for too long.
        """
        if self._call is None:
            time.sleep(window.wait or 0.0)
            return None
        now = time.monotonic()
        if not window.asked:
            self._moved = now
        left = self._moved + self._silence - now
        try:
            message = self._call.next_answer(max(0.0, left if window.wait is None else min(left, window.wait)))
        except Empty:
            if window.asked and time.monotonic() >= self._moved + self._silence:
                raise DeadlineError("the server has not moved for too long") from None
            return None
        self._moved = time.monotonic()
        if isinstance(message, annotator_pb2.AnnotateStreamResponse):
            return window.receive(message)
        self.close()
        window.broken(message)
        return None

    def finish(self) -> None:
        """Half-closes the call and waits a moment for the server to end it, so that neither side sees a cancellation."""
        if self._call is not None:
            self._call.finish()

    def close(self) -> None:
        """Cancels the call, if there is one."""
        call, self._call = self._call, None
        if call is not None:
            call.close()


class _Call:
    """An AnnotateStream call between two queues: gRPC's thread empties one, ours fills the other, so that a wait can time out."""

    def __init__(
        self, stub: annotator_pb2_grpc.AnnotatorServiceStub, in_flight: int, endpoint: Endpoint, metadata: Metadata
    ) -> None:
        self._endpoint = endpoint
        # Neither gets full: a picture stays in flight until its answer was taken. The rest is room for the ends.
        self._requests: Queue[annotator_pb2.AnnotateStreamRequest | None] = Queue(in_flight + 2)
        self._answers: Queue[annotator_pb2.AnnotateStreamResponse | ImagierClientError | None] = Queue(in_flight + 1)
        self._call: Any = stub.AnnotateStream(iter(self._requests.get, None), metadata=metadata)
        threading.Thread(target=self._read, name="imagier-answers", daemon=True).start()

    def send(self, request: annotator_pb2.AnnotateStreamRequest) -> None:
        """Hands a request to gRPC, which sends it as fast as the server reads."""
        self._requests.put(request)

    def next_answer(self, timeout: float) -> annotator_pb2.AnnotateStreamResponse | ImagierClientError | None:
        """The next answer, `None` at an orderly end, or why the call ended. Raises Empty after `timeout` seconds."""
        return self._answers.get(timeout=timeout)

    def finish(self) -> None:
        """Half-closes the call and waits a moment for the server to end it."""
        self._requests.put(None)
        with suppress(Empty):
            self._answers.get(timeout=GOODBYE_SECONDS)

    def close(self) -> None:
        """Cancels the call and lets both threads end."""
        self._call.cancel()
        self._requests.put(None)
        # A server that sent more than it was asked for must not hold our thread.
        with suppress(Empty):
            while True:
                self._answers.get_nowait()

    def _read(self) -> None:
        try:
            for message in self._call:
                self._answers.put(message)
        except grpc.RpcError as error:
            self._answers.put(self._endpoint.failure(error))
        else:
            self._answers.put(None)
