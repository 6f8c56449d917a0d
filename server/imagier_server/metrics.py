# SPDX-License-Identifier: Apache-2.0
"""Every metric, declared once. Labels come from closed sets in the code; nothing of a caller or a picture is one."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

# About a factor of two apart; an objective's threshold should fall on one of them.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
BYTES = tuple(1024 * 4**power for power in range(4, 10))
PIXELS = (10_000.0, 100_000.0, 1_000_000.0, 3_000_000.0, 12_000_000.0, 25_000_000.0, 50_000_000.0, 100_000_000.0)


class Metrics:
    """The metrics of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)

        self.requests = Counter(
            "imagier_requests_total",
            "Pictures answered or refused, by lane and outcome.",
            ["lane", "code"],
            registry=registry,
        )
        self.request_seconds = Histogram(
            "imagier_request_duration_seconds",
            "Wall time of one picture, refused ones included.",
            ["lane"],
            buckets=SECONDS,
            registry=registry,
        )
        self.tasks = Counter("imagier_tasks_total", "Tasks run, by outcome.", ["task", "code"], registry=registry)
        self.stage_seconds = Histogram(
            "imagier_stage_duration_seconds",
            "Wall time of one stage for one picture.",
            ["task", "stage"],
            buckets=SECONDS,
            registry=registry,
        )
        self.failed = Counter(
            "imagier_failed_total", "Pictures refused or failed as a whole, by reason.", ["reason"], registry=registry
        )

        self.in_flight = Gauge("imagier_in_flight_pictures", "Pictures worked on now.", registry=registry)
        self.in_flight_limit = Gauge(
            "imagier_in_flight_pictures_limit", "Pictures that may be worked on at once.", registry=registry
        )
        self.in_flight_bytes = Gauge("imagier_in_flight_bytes", "Bytes of picture files held now.", registry=registry)
        self.in_flight_bytes_limit = Gauge(
            "imagier_in_flight_bytes_limit", "Bytes of picture files that may be held at once.", registry=registry
        )

        self.image_bytes = Histogram(
            "imagier_image_bytes", "Size of the picture files decoded.", ["format"], buckets=BYTES, registry=registry
        )
        self.image_pixels = Histogram(
            "imagier_image_pixels", "Width times height of the pictures decoded.", buckets=PIXELS, registry=registry
        )
        self.decoder_failures = Counter(
            "imagier_decoder_failures_total",
            "Pictures that could not be decoded, by reason.",
            ["reason"],
            registry=registry,
        )
        self.decoder_restarts = Counter(
            "imagier_decoder_restarts_total",
            "Decoder processes replaced after a crash or an overrun.",
            registry=registry,
        )

        self.engines = Gauge("imagier_engines", "Tritons known.", registry=registry)
        self.engines_up = Gauge("imagier_engines_up", "Tritons that have at least one model ready.", registry=registry)
        self.engine_ejections = Counter(
            "imagier_engine_ejections_total", "Times that a Triton in use was given up.", registry=registry
        )
        self.engine_retries = Counter(
            "imagier_engine_retries_total",
            "Inference requests that one Triton has failed: sent to another, or refused that.",
            ["outcome"],
            registry=registry,
        )
        self.model_ready = Gauge(
            "imagier_model_ready",
            "1 while a model is loaded and is the one that the labels belong to.",
            ["model"],
            registry=registry,
        )
        self.engine_requests = Counter(
            "imagier_engine_requests_total",
            "Inference requests sent to Triton, by outcome.",
            ["model", "code"],
            registry=registry,
        )
        self.engine_rows = Histogram(
            "imagier_engine_request_rows",
            "Rows of one inference request (lines of text travel together).",
            ["model"],
            buckets=(1, 2, 4, 8, 16, 32),
            registry=registry,
        )
        self.event_loop_lag = Histogram(
            "imagier_event_loop_lag_seconds", "How late the event loop wakes.", buckets=SECONDS, registry=registry
        )
        self.event_loop_tasks = Gauge(
            "imagier_event_loop_tasks", "Tasks of the event loop that have not ended.", registry=registry
        )
        self.build = Info("imagier_build", "What runs here.", registry=registry)
        self.models = Gauge(
            "imagier_model_info",
            "1 for each model of the catalogue.",
            ["model", "version", "digest"],
            registry=registry,
        )

    def zero(self, tasks: Iterable[str], models: Iterable[str], stages: Iterable[str], codes: Iterable[str]) -> None:
        """Creates the children known beforehand, so that the first failure is a step from 0 that `rate()` sees."""
        known_stages, known_codes = tuple(stages), tuple(codes)
        for task in tasks:
            for code in known_codes:
                self.tasks.labels(task, code)
            for stage in known_stages:
                self.stage_seconds.labels(task, stage)
        for outcome in ("sent", "refused"):
            self.engine_retries.labels(outcome)
        for model in models:
            self.model_ready.labels(model)
            for code in known_codes:
                self.engine_requests.labels(model, code)
