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
    """Spans for an exporter. Spans that it does not accept in time are dropped; requests never wait for it."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._provider = TracerProvider(
            resource=Resource.create({"service.name": "imagier", "service.version": version("imagier")}),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("imagier_server")
        # W3C trace context, without the baggage, which could carry a caller's words.
        self._propagator = TraceContextTextMapPropagator()

    def close(self) -> None:
        """Send the remaining spans; blocks some seconds at most."""
        self._provider.shutdown()

    @contextmanager
    def span(self, name: str) -> Iterator[None]:
        """A span around the block, with an error's reason or an unexpected exception's type; the SDK would add its text."""
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
        """Make the block's spans children of the caller's `traceparent`."""
        carrier = {key: value for key, value in metadata or () if isinstance(value, str)}
        token = context.attach(self._propagator.extract(carrier))
        try:
            yield
        finally:
            context.detach(token)

    def headers(self) -> Metadata:
        """The `traceparent` of the current span, for outgoing calls."""
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier)
        return tuple(carrier.items())


def to_collector(endpoint: str) -> Tracing:
    """Traces for the collector at HOST:PORT or https://HOST:PORT, by OTLP over gRPC; directly, whatever the environment's proxy."""
    insecure = not endpoint.startswith("https://")
    return Tracing(OTLPSpanExporter(endpoint, insecure, channel_options=(("grpc.enable_http_proxy", 0),)))  # type: ignore[arg-type]  # an option's value may be a number
