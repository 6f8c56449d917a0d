# SPDX-License-Identifier: Apache-2.0
"""All metrics, declared once. Label values come from closed sets in the code, never from a caller or a picture."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import product
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, disable_created_metrics
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from imagier_server.call import CallContext, Lane, Transport
from imagier_server.errors import DeadlineError, Full, ImagierError, MalformedRequestError
from imagier_server.outcomes import CODES, ENGINE_CODES, FAILED, OK, OUTCOMES, Outcome, RestartReason
from imagier_server.timings import SHARED, Stage, Timings

# About a factor of two apart. The thresholds of the objectives in deploy/prometheus/ must be among them.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
BYTES = tuple(1024 * 4**power for power in range(4, 10))
PIXELS = (10_000.0, 100_000.0, 1_000_000.0, 3_000_000.0, 12_000_000.0, 25_000_000.0, 50_000_000.0, 100_000_000.0)

UNREAD = (MalformedRequestError.reason, Full.ARRIVING, Full.PICTURES, Full.CALLER, DeadlineError.reason)
"""Reasons for ending a call before its request is complete."""

MAX_ENGINES = 64
"""Engines with series of their own; further ones share the label `OTHER`."""
OTHER = "other"

CGROUP = Path("/sys/fs/cgroup")


class Metrics:
    """The metrics of one server, in a registry of their own. `cgroup` is the cgroup folder that reports the container's memory."""

    def __init__(self, cgroup: Path = CGROUP) -> None:
        # `_created` would double the series, and Prometheus does not use it in this format.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)

        self.requests = self._counter(
            "requests",
            "Pictures answered or refused, by transport, lane and code.",
            "transport",
            "lane",
            "code",
        )
        self.request_seconds = self._histogram(
            "request_duration_seconds", "Wall time per picture, refused ones included.", SECONDS, "lane"
        )
        self.keyword_requests = self._counter(
            "keyword_requests", "MatchKeywords calls, by transport and code.", "transport", "code"
        )

        self.vector_requests = self._counter(
            "vector_requests", "EmbedText and TrainLabel calls.", "method", "transport", "code"
        )
        self.texts = self._counter("texts", "Texts embedded.")

        self.tasks = self._counter(
            "tasks",
            "Tasks requested, by code; a picture that fails as a whole counts for each of its tasks.",
            "task",
            "code",
        )
        self.task_seconds = self._histogram(
            "task_duration_seconds",
            "Time from a picture's arrival to the end of one task; the objectives use it.",
            SECONDS,
            "task",
            "outcome",
        )
        self.task_failures = self._counter("task_failures", "Failed tasks, by reason.", "task", "reason")
        self.in_flight_tasks = self._gauge("in_flight_tasks", "Tasks in flight.", "task")

        self.stage_seconds = self._histogram(
            "stage_duration_seconds", "Wall time of one stage per picture.", SECONDS, "task", "stage"
        )
        self.cancelled = self._counter(
            "cancelled", "Stages cancelled because the caller left or the deadline passed.", "stage"
        )
        self.cpu_seconds = self._counter(
            "cpu_seconds",
            "CPU time of the gateway's compute threads and decoders, without Triton's.",
            "task",
            "stage",
        )

        self.in_flight = self._gauge("in_flight_pictures", "Pictures in flight.")
        self.in_flight_limit = self._gauge("in_flight_pictures_limit", "Limit of pictures in flight.")
        self.in_flight_bytes = self._gauge("in_flight_bytes", "Bytes of picture files in flight.")
        self.in_flight_bytes_limit = self._gauge("in_flight_bytes_limit", "Limit of bytes of picture files in flight.")
        self.arriving = self._gauge("arriving_requests", "Calls that still expect messages.")
        self.arriving_bytes = self._gauge("arriving_bytes", "Measured bytes held by incomplete messages.")
        self.refused_calls = self._counter(
            "refused_calls", "Calls ended before their request was complete, by reason.", "reason"
        )
        self.waiting_streams = self._gauge("waiting_streams", "Streams and batches' calls that wait for capacity.")

        self.bulk_waiting = self._gauge(
            "bulk_waiting_inferences", "Bulk inferences held back in favour of interactive ones.", "model"
        )

        self.image_bytes = self._histogram("image_bytes", "Size of decoded picture files.", BYTES, "format")
        self.image_pixels = self._histogram("image_pixels", "Width times height of decoded pictures.", PIXELS, "format")
        self.decoders = self._gauge("decoders", "Decoder processes.")
        self.decoders_busy = self._gauge("decoders_busy", "Decoder processes in use.")
        self.decoder_waiting = self._gauge("decoder_waiting_pictures", "Pictures waiting for a decoder.")
        self.decoder_failures = self._counter(
            "decoder_failures", "Pictures that could not be decoded, by reason.", "format", "reason"
        )
        self.decoder_restarts = self._counter(
            "decoder_restarts", "Decoder processes replaced after a crash, a kill or an overrun."
        )

        self.engines = self._gauge("engines", "Known Tritons.")
        self.engines_up = self._gauge("engines_up", "Tritons with at least one model ready.")
        self.engine_ready = self._gauge(
            "engine_ready", "1 while this Triton has all models ready and none ejected.", "engine"
        )
        self.engine_attempts = self._counter(
            "engine_attempts", "Inference requests sent to this Triton, by code.", "engine", "code"
        )
        self.engine_in_flight = self._gauge(
            "engine_in_flight_requests", "Inference requests in flight on this Triton.", "engine"
        )
        self.engine_requests = self._counter(
            "engine_requests", "Inference requests on all Tritons, by code.", "model", "code"
        )
        self.engine_ejections = self._counter("engine_ejections", "Ejections of Tritons.")
        self.engine_retries = self._counter(
            "engine_retries",
            "Failed inference requests by retry decision: `sent` to another engine or `refused`.",
            "outcome",
        )
        self.engine_restarts = self._counter(
            "engine_restarts",
            "Restarts of the embedded Triton and failed attempts, by reason.",
            "reason",
        )
        self.model_probes = self._counter(
            "model_probes", "Probe inferences on the embedded Triton, by outcome.", "model", "outcome"
        )
        self.engine_rows = self._histogram(
            "engine_request_rows",
            "Rows per inference request (lines of text share one).",
            (1, 2, 4, 8, 16, 32),
            "model",
        )
        self.model_ready = self._gauge(
            "model_ready", "1 while a model is ready with the digest of models.lock.", "model"
        )

        self._watch_accounts()
        self.event_loop_lag = self._histogram("event_loop_lag_seconds", "Delay of the event loop's wake-ups.", SECONDS)
        self.event_loop_tasks = self._gauge("event_loop_tasks", "Pending asyncio tasks.")
        self._watch_memory(cgroup)
        self.build = Info("imagier_build", "Version of this server.", registry=self.registry)
        self.models = self._gauge("model_info", "1 for each model of the catalogue.", "model", "version", "digest")
        self._engines: set[str] = set()

    def _watch_accounts(self) -> None:
        self.ledger_up = self._gauge("ledger_up", "1 while keys and credits can be entered, or without a ledger.")
        self.ledger_unsettled = self._gauge("ledger_unsettled_pictures", "Answered pictures not yet charged.")
        self.quota_store_up = self._gauge(
            "quota_store_up",
            "1 while the shared store of quotas answers, or without one; 0: each gateway counts by itself.",
        )
        self.open_tickets = self._gauge("open_tickets", "Tickets whose picture has not been read yet.")
        self.open_ticket_bytes = self._gauge("open_ticket_bytes", "Bytes of the picture files of open tickets.")
        self.tickets = self._counter("tickets", "Tickets that have ended, by how.", "end")
        self.ticket_callbacks = self._counter("ticket_callbacks", "Results sent to callbacks, by outcome.", "outcome")
        self.usage_events = self._counter("usage_events", "Usage events, by outcome.", "outcome")
        self.usage_events_waiting = self._gauge("usage_events_waiting", "Usage events not sent yet.")

    def _watch_memory(self, cgroup: Path) -> None:
        self._gauge("memory_bytes", "Working set of the container; NaN outside a container.").set_function(
            lambda: _memory_in_use(cgroup)
        )
        self._gauge("memory_limit_bytes", "Memory limit of the container; +Inf without one.").set_function(
            lambda: _number(cgroup / "memory.max")
        )

    def zero(self, tasks: Iterable[str], models: Iterable[str], reasons: Iterable[str]) -> None:
        """Create all known children, so that `rate()` sees the first failure as a step from 0."""
        self.ledger_up.set(1)
        self.quota_store_up.set(1)
        tasks, models, lanes = tuple(tasks), tuple(models), tuple(lane.label for lane in Lane)
        for family, *values in (
            (self.requests, Transport, lanes, CODES),
            (self.request_seconds, lanes),
            (self.keyword_requests, Transport, CODES),
            (self.vector_requests, ("EmbedText", "TrainLabel"), Transport, CODES),
            (self.tasks, tasks, CODES),
            (self.task_seconds, tasks, Outcome),
            (self.task_failures, tasks, reasons),
            (self.in_flight_tasks, tasks),
            (self.stage_seconds, (SHARED,), (Stage.DECODE,)),
            (self.stage_seconds, tasks, (Stage.PREPARE, Stage.INFER, Stage.FINISH)),
            (self.cpu_seconds, (SHARED,), (Stage.DECODE,)),
            (self.cpu_seconds, tasks, (Stage.PREPARE, Stage.FINISH)),
            (self.cancelled, Stage),
            (self.model_ready, models),
            (self.engine_rows, models),
            (self.engine_requests, models, ENGINE_CODES),
            (self.model_probes, models, (OK, FAILED)),
            (self.engine_restarts, RestartReason),
            (self.engine_retries, ("sent", "refused")),
            (self.bulk_waiting, models),
            (self.refused_calls, UNREAD),
            (self.usage_events, ("sent", "dropped")),
        ):
            for labels in product(*values):
                family.labels(*labels)

    def count_picture(self, call: CallContext, code: str, timings: Timings) -> None:
        """Count a picture that was answered or refused."""
        self.requests.labels(call.transport, call.lane.label, code).inc()
        self.request_seconds.labels(call.lane.label).observe(timings.elapsed)
        for (task, stage), seconds in timings.stages.items():
            self.stage_seconds.labels(task, stage).observe(seconds)
        for stage in timings.cancelled:
            self.cancelled.labels(stage).inc()

    def count_task(self, task: str, end: ImagierError | str, timings: Timings) -> None:
        """Count a task that ended with an error or with a code."""
        code = end if isinstance(end, str) else end.code.value
        self.tasks.labels(task, code).inc()
        self.task_seconds.labels(task, OUTCOMES[code]).observe(timings.ended.get(task, timings.elapsed))
        if isinstance(end, ImagierError):
            self.task_failures.labels(task, end.cause).inc()

    def add_engine(self, address: str) -> str:
        """Create the series of the Triton at `address`; return its label: the address, or `OTHER` beyond `MAX_ENGINES`."""
        label = address if address in self._engines or len(self._engines) < MAX_ENGINES else OTHER
        if label is not OTHER:
            self._engines.add(label)
            # Engines that share a series have no common readiness.
            self.engine_ready.labels(label)
        self.engine_in_flight.labels(label)
        for code in ENGINE_CODES:
            self.engine_attempts.labels(label, code)
        return label

    def set_engine_ready(self, label: str, ready: bool) -> None:
        """Record whether a Triton has all models ready and none ejected."""
        if label in self._engines:
            self.engine_ready.labels(label).set(ready)

    def remove_engine(self, label: str) -> None:
        """Remove the series of a Triton that has left for good."""
        if label in self._engines:
            self._engines.remove(label)
            for family in (self.engine_ready, self.engine_in_flight, self.engine_attempts):
                family.remove_by_labels({"engine": label})

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"imagier_{name}_total", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"imagier_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: Iterable[float], *labels: str) -> Histogram:
        return Histogram(f"imagier_{name}", text, labels, buckets=tuple(buckets), registry=self.registry)


def _memory_in_use(cgroup: Path) -> float:
    """The working set in bytes, as the kubelet computes it: memory in use minus inactive file pages."""
    try:
        rows = dict(row.split() for row in (cgroup / "memory.stat").read_text("ascii").splitlines())
        return _number(cgroup / "memory.current") - int(rows["inactive_file"])
    except (OSError, ValueError, KeyError):
        return math.nan


def _number(file: Path) -> float:
    try:
        text = file.read_text("ascii").strip()
        return math.inf if text == "max" else int(text)
    except (OSError, ValueError):
        return math.nan
