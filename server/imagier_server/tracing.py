# SPDX-License-Identifier: Apache-2.0
"""Optional OpenTelemetry traces: a span for a picture and for each stage, continued from the caller and into Triton.

Only imported when traces are wanted (extra `tracing`). A span has a name and a status, both constants: nothing of a picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version

from opentelemetry import context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from imagier_server.errors import ImagierError

Metadata = tuple[tuple[str, str], ...]


class Tracing:
    """Spans for an exporter. Those that it does not take in time are dropped; no request ever waits for it."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._provider = TracerProvider(
            resource=Resource.create({"service.name": "imagier", "service.version": version("imagier")}),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("imagier_server")
        # W3C's, and not the baggage that would carry a caller's words.
        self._propagator = TraceContextTextMapPropagator()

    def close(self) -> None:
        """Sends what is left. Blocks, some seconds at most."""
        self._provider.shutdown()

    @contextmanager
    def span(self, name: str) -> Iterator[None]:
        """A span around the block. Of an error it has the reason, and of an unforeseen one the type: the SDK would add its text."""
        with self._tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False) as span:
            try:
                yield
            except BaseException as error:
                span.set_status(
                    StatusCode.ERROR, error.reason if isinstance(error, ImagierError) else type(error).__name__
                )
                raise

    @contextmanager
    def parent(self, metadata: Iterable[tuple[str, str | bytes]] | None) -> Iterator[None]:
        """Spans of the block are children of the span that a caller's `traceparent` names."""
        carrier = {key: value for key, value in metadata or () if isinstance(value, str)}
        token = context.attach(self._propagator.extract(carrier))
        try:
            yield
        finally:
            context.detach(token)

    def headers(self) -> Metadata:
        """The `traceparent` of the present span, for whom we call."""
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier)
        return tuple(carrier.items())


def to_collector(endpoint: str) -> Tracing:
    """Traces for the collector at HOST:PORT or https://HOST:PORT, by OTLP over gRPC."""
    return Tracing(OTLPSpanExporter(endpoint=endpoint, insecure=not endpoint.startswith("https://")))
