# SPDX-License-Identifier: Apache-2.0
"""Every metric, declared once. Labels come from closed sets in the code; nothing of a caller or a picture is one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from enum import StrEnum
from itertools import product
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, disable_created_metrics
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from imagier_server.errors import Code, ImagierError
from imagier_server.timings import SHARED, Stage, Timings

# About a factor of two apart. The objectives in deploy/prometheus/ take thresholds that are among them.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
BYTES = tuple(1024 * 4**power for power in range(4, 10))
PIXELS = (10_000.0, 100_000.0, 1_000_000.0, 3_000_000.0, 12_000_000.0, 25_000_000.0, 50_000_000.0, 100_000_000.0)

OK, CANCELLED = "ok", "cancelled"
CODES = (OK, CANCELLED, *Code)
"""The values of the label `code`."""

MAX_ENGINES = 64
"""Engines with series of their own at one time; further ones share those of `OTHER`."""
OTHER = "other"

CGROUP = Path("/sys/fs/cgroup")


class Outcome(StrEnum):
    """What an end means for the objectives: only the last two are the server's fault."""

    OK = "ok"
    CLIENT_ERROR = "client_error"
    SERVER_ERROR = "server_error"
    REJECTED = "rejected"


OUTCOMES: Mapping[str, Outcome] = {
    OK: Outcome.OK,
    CANCELLED: Outcome.CLIENT_ERROR,
    Code.INVALID: Outcome.CLIENT_ERROR,
    Code.UNSUPPORTED: Outcome.CLIENT_ERROR,
    Code.EXHAUSTED: Outcome.REJECTED,
    Code.UNAVAILABLE: Outcome.SERVER_ERROR,
    Code.DEADLINE: Outcome.SERVER_ERROR,
    Code.INTERNAL: Outcome.SERVER_ERROR,
}


class Metrics:
    """The metrics of one server, in a registry of their own. `cgroup` is where the kernel says what memory the container has."""

    def __init__(self, cgroup: Path = CGROUP) -> None:
        # When each series began is a second series for each of them; Prometheus has no use for it in this format.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)

        self.requests = self._counter("requests", "Pictures answered or refused, by lane and outcome.", "lane", "code")
        self.request_seconds = self._histogram(
            "request_duration_seconds", "Wall time of one picture, refused ones included.", SECONDS, "lane"
        )
        self.keyword_requests = self._counter("keyword_requests", "Calls of MatchKeywords, by outcome.", "code")

        self.tasks = self._counter(
            "tasks",
            "Tasks asked for, by outcome; each task of a picture that failed as a whole counts.",
            "task",
            "code",
        )
        self.task_seconds = self._histogram(
            "task_duration_seconds",
            "From a picture's arrival to the end of one of its tasks: what the objectives are about.",
            SECONDS,
            "task",
            "outcome",
        )
        self.task_failures = self._counter(
            "task_failures", "Tasks that were asked for and not answered, by reason.", "task", "reason"
        )
        self.in_flight_tasks = self._gauge("in_flight_tasks", "Tasks worked on now.", "task")

        self.stage_seconds = self._histogram(
            "stage_duration_seconds", "Wall time of one stage for one picture.", SECONDS, "task", "stage"
        )
        self.cancelled = self._counter(
            "cancelled", "Stages given up because the caller left or the deadline passed.", "stage"
        )
        self.cpu_seconds = self._counter(
            "cpu_seconds",
            "Processor time of the gateway's compute threads and of its decoders; Triton's is not in it.",
            "task",
            "stage",
        )

        self.in_flight = self._gauge("in_flight_pictures", "Pictures worked on now.")
        self.in_flight_limit = self._gauge("in_flight_pictures_limit", "Pictures that may be worked on at once.")
        self.in_flight_bytes = self._gauge("in_flight_bytes", "Bytes of picture files held now.")
        self.in_flight_bytes_limit = self._gauge(
            "in_flight_bytes_limit", "Bytes of picture files that may be held at once."
        )
        self.waiting_streams = self._gauge("waiting_streams", "Streams that are not read because there is no room.")

        self.image_bytes = self._histogram("image_bytes", "Size of the picture files decoded.", BYTES, "format")
        self.image_pixels = self._histogram(
            "image_pixels", "Width times height of the pictures decoded.", PIXELS, "format"
        )
        self.decoders = self._gauge("decoders", "Decoder processes.")
        self.decoders_busy = self._gauge("decoders_busy", "Decoder processes that decode a picture now.")
        self.decoder_waiting = self._gauge("decoder_waiting_pictures", "Pictures that wait for a decoder.")
        self.decoder_failures = self._counter(
            "decoder_failures", "Pictures that could not be decoded, by reason.", "format", "reason"
        )
        self.decoder_restarts = self._counter(
            "decoder_restarts", "Decoder processes replaced: crashed, killed, or stopped after too long."
        )

        self.engines = self._gauge("engines", "Tritons known.")
        self.engines_up = self._gauge("engines_up", "Tritons that have at least one model ready.")
        self.engine_ready = self._gauge(
            "engine_ready", "1 while this Triton has every model ready and fails at none.", "engine"
        )
        self.engine_attempts = self._counter(
            "engine_attempts", "Inference requests sent to this Triton, by outcome.", "engine", "code"
        )
        self.engine_in_flight = self._gauge(
            "engine_in_flight_requests", "Inference requests that this Triton has not answered yet.", "engine"
        )
        self.engine_requests = self._counter(
            "engine_requests", "Inference requests made, by outcome, whichever Triton took them.", "model", "code"
        )
        self.engine_ejections = self._counter("engine_ejections", "Times that a Triton in use was given up.")
        self.engine_retries = self._counter(
            "engine_retries",
            "Inference requests that one Triton has failed: sent to another, or refused that.",
            "outcome",
        )
        self.engine_rows = self._histogram(
            "engine_request_rows",
            "Rows of one inference request (lines of text travel together).",
            (1, 2, 4, 8, 16, 32),
            "model",
        )
        self.model_ready = self._gauge(
            "model_ready", "1 while a model is loaded and is the one that the labels belong to.", "model"
        )

        self.event_loop_lag = self._histogram("event_loop_lag_seconds", "How late the event loop wakes.", SECONDS)
        self.event_loop_tasks = self._gauge("event_loop_tasks", "Tasks of the event loop that have not ended.")
        self._gauge(
            "memory_bytes", "Memory of the container that cannot be taken back; not a number outside of one."
        ).set_function(lambda: _memory_in_use(cgroup))
        self._gauge("memory_limit_bytes", "Memory that the container may take; infinite without a limit.").set_function(
            lambda: _number(cgroup / "memory.max")
        )
        self.build = Info("imagier_build", "What runs here.", registry=self.registry)
        self.models = self._gauge("model_info", "1 for each model of the catalogue.", "model", "version", "digest")
        self._engines: set[str] = set()

    def zero(self, tasks: Iterable[str], models: Iterable[str], lanes: Iterable[str], reasons: Iterable[str]) -> None:
        """Creates the children known beforehand, so that the first failure is a step from 0 that `rate()` sees."""
        tasks, models, lanes = tuple(tasks), tuple(models), tuple(lanes)
        for family, *values in (
            (self.requests, lanes, CODES),
            (self.request_seconds, lanes),
            (self.keyword_requests, CODES),
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
            (self.engine_requests, models, CODES),
            (self.engine_retries, ("sent", "refused")),
        ):
            for labels in product(*values):
                family.labels(*labels)

    def count_picture(self, lane: str, code: str, timings: Timings) -> None:
        """A picture has been answered or refused."""
        self.requests.labels(lane, code).inc()
        self.request_seconds.labels(lane).observe(timings.elapsed)
        for (task, stage), seconds in timings.stages.items():
            self.stage_seconds.labels(task, stage).observe(seconds)
        for stage in timings.cancelled:
            self.cancelled.labels(stage).inc()

    def count_task(self, task: str, end: ImagierError | str, timings: Timings) -> None:
        """A task has ended with that error, or else with that code."""
        code = end if isinstance(end, str) else end.code.value
        self.tasks.labels(task, code).inc()
        self.task_seconds.labels(task, OUTCOMES[code]).observe(timings.ended.get(task, timings.elapsed))
        if isinstance(end, ImagierError):
            self.task_failures.labels(task, end.cause).inc()

    def add_engine(self, address: str) -> str:
        """The label of the Triton at that address: the address itself, for as many as may have series of their own."""
        label = address if address in self._engines or len(self._engines) < MAX_ENGINES else OTHER
        if label is not OTHER:
            self._engines.add(label)
            # Several that share a series are neither ready nor not.
            self.engine_ready.labels(label)
        self.engine_in_flight.labels(label)
        for code in CODES:
            self.engine_attempts.labels(label, code)
        return label

    def set_engine_ready(self, label: str, ready: bool) -> None:
        """Whether that Triton has every model ready, as of the last look or failure."""
        if label in self._engines:
            self.engine_ready.labels(label).set(ready)

    def forget_engine(self, label: str) -> None:
        """Removes the series of a Triton that will not come back under that address."""
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
    """What the kernel's out-of-memory killer goes by, nearly, and the kubelet exactly: all but the file pages not used lately."""
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
