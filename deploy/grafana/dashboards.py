# SPDX-License-Identifier: Apache-2.0
"""Writes Grafana's dashboards into this folder (`make dashboards`): what is shown is below, how is the concern of `panels`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from imagier_server.tasks.registry import tasks
from panels import (
    BYTES,
    COUNT,
    EVENTS,
    PER_SECOND,
    RATIO,
    SECONDS,
    WATT,
    YES,
    Choice,
    Figure,
    Panel,
    build,
    mean,
    of,
    p95,
    rate,
)

HERE = Path(__file__).parent
GATEWAYS = "and on (job, instance) imagier_build_info"
TASK = '{task=~"$task"}'
MODEL = '{model=~"$model"}'
WINDOWS = ("5m", "1h", "6h", "3d")
OBJECTIVES = ", ".join(f"{task.name} {task.objective_seconds:g} s" for task in tasks())
IN_TIME = f"Of 100 answers 95 are to come within: {OBJECTIVES}."

OVERVIEW = {
    "Now": (
        Figure("Tasks", PER_SECOND, (of("sum(task:imagier_tasks:rate5m)"),)),
        Figure("Failed through our fault, 1 h", RATIO, (of("task:imagier_errors:ratio_rate1h", "task"),)),
        Figure("Later than the objective, 1 h", RATIO, (of("task:imagier_slow:ratio_rate1h", "task"),), IN_TIME),
        Figure("Gateways", COUNT, (of("count(imagier_build_info)"),)),
        Figure("Gateways without a Triton", COUNT, (of("sum(imagier_engines_up == bool 0)"),)),
        Figure(
            "Alerts",
            COUNT,
            (
                of(
                    # Some are about no namespace.
                    'count(ALERTS{namespace=~"$namespace|",alertstate="firing",alertname=~"Imagier.+",'
                    'alertname!="ImagierWatchdog"}) or vector(0)'
                ),
            ),
        ),
    ),
    "What callers see": (
        Panel("Tasks", PER_SECOND, (rate("imagier_task_duration_seconds_count", "task", "outcome"),)),
        Panel(
            "Task duration, 95th percentile",
            SECONDS,
            (of("task:imagier_task_duration_seconds:p95_rate5m", "task"),),
        ),
        Panel("Failures by reason", RATIO, (of("task:imagier_failures:ratio_rate5m > 0", "task", "reason"),)),
        Panel("Pictures", PER_SECOND, (rate("imagier_requests_total", "transport", "lane", "code"),)),
        Panel("Request duration, 95th percentile", SECONDS, (p95("imagier_request_duration_seconds", "lane"),)),
        Panel("Keywords matched", PER_SECOND, (rate("imagier_keyword_requests_total", "transport", "code"),)),
        Panel("Calls for vectors", PER_SECOND, (rate("imagier_vector_requests_total", "method", "transport", "code"),)),
        Panel("Texts embedded", PER_SECOND, (rate("imagier_texts_total"),)),
        Panel(
            "Burn rate of the error budget (1 lasts 30 days)",
            COUNT,
            tuple(of(f"task:imagier_errors:ratio_rate{w} / 0.005", "task", text=w) for w in ("1h", "6h")),
        ),
        Panel(
            "Burn rate of the latency budget (1 lasts 30 days)",
            COUNT,
            tuple(of(f"task:imagier_slow:ratio_rate{w} / 0.05", "task", text=w) for w in ("1h", "6h")),
        ),
    ),
    "Capacity": (
        Panel(
            "In flight, share of the limit",
            RATIO,
            tuple(
                of(f"instance:imagier_in_flight_{what}:ratio", "instance", text=what) for what in ("pictures", "bytes")
            ),
        ),
        Panel("Decoders busy", RATIO, (of("instance:imagier_decoders_busy:ratio", "instance"),)),
        Panel(
            "Being received",
            COUNT,
            (
                of("imagier_arriving_requests", "instance", text="calls of which something is to come"),
                rate("imagier_refused_calls_total", "reason", text="ended before there was a request, a second"),
            ),
        ),
        Panel("Bytes of incomplete requests", BYTES, (of("imagier_arriving_bytes", "instance"),)),
        Panel(
            "Waiting",
            COUNT,
            (
                of("imagier_decoder_waiting_pictures", "instance", text="for a decoder"),
                of("imagier_waiting_streams", "instance", text="streams, for room"),
                of("imagier_bulk_waiting_inferences", "model", text="bulk, for interactive calls"),
                of("model:triton_pending_requests:sum", "model", text="in Triton"),
            ),
        ),
        Panel(
            "CPU cores",
            COUNT,
            (
                of(f"rate(process_cpu_seconds_total[$__rate_interval]) {GATEWAYS}", "instance", text="gateway"),
                rate("imagier_cpu_seconds_total", "instance", where='{stage="decode"}', text="decoders"),
            ),
        ),
        Panel(
            "Memory",
            BYTES,
            (
                of(f"process_resident_memory_bytes {GATEWAYS}", "instance", text="gateway"),
                of("imagier_memory_bytes", "instance", text="container"),
                of("imagier_memory_limit_bytes < Inf", "instance", text="limit"),
            ),
        ),
        Panel(
            "Ledger and quotas",
            COUNT,
            (
                of("imagier_ledger_up", "instance", text="ledger up"),
                of("imagier_quota_store_up", "instance", text="quota store up"),
                of("imagier_ledger_unsettled_pictures", "instance", text="pictures to charge"),
            ),
        ),
        Panel(
            "Tickets",
            COUNT,
            (
                of("imagier_open_tickets", "instance", text="open"),
                rate("imagier_tickets_total", "end", text="a second"),
                rate("imagier_ticket_callbacks_total", "outcome", text="callbacks a second"),
            ),
        ),
        Panel(
            "Pictures of open tickets",
            BYTES,
            (of("imagier_open_ticket_bytes", "instance"),),
        ),
        Panel(
            "Usage events",
            COUNT,
            (
                of("imagier_usage_events_waiting", "instance", text="waiting"),
                rate("imagier_usage_events_total", "outcome", text="a second"),
            ),
        ),
        Panel(
            "Event loop lag, 99th percentile",
            SECONDS,
            (of("instance:imagier_event_loop_lag_seconds:p99_rate5m", "instance"),),
        ),
    ),
    "Pictures": (
        Panel("Decoded", EVENTS, (rate("imagier_image_pixels_count", "format"),)),
        Panel("File size, 95th percentile", BYTES, (p95("imagier_image_bytes", "format"),)),
        Panel("Pixels, 95th percentile", COUNT, (p95("imagier_image_pixels", "format"),)),
        Panel("Decode failures", EVENTS, (rate("imagier_decoder_failures_total", "format", "reason"),)),
        Panel("Decoders replaced", EVENTS, (rate("imagier_decoder_restarts_total", "instance"),)),
    ),
}

TASKS = {
    "What callers see": (
        Panel("By outcome", PER_SECOND, (rate("imagier_tasks_total", "task", "code", where=TASK),)),
        Panel(
            "Task duration",
            SECONDS,
            tuple(
                of(f"task:imagier_task_duration_seconds:{p}_rate5m{TASK}", "task", text=p)
                for p in ("p50", "p95", "p99")
            ),
        ),
        Panel("Failures by reason", RATIO, (of(f"task:imagier_failures:ratio_rate5m{TASK} > 0", "task", "reason"),)),
        Panel(
            "Server errors",
            RATIO,
            tuple(of(f"task:imagier_errors:ratio_rate{w}{TASK}", "task", text=w) for w in WINDOWS),
        ),
        Panel(
            "Later than the objective",
            RATIO,
            tuple(of(f"task:imagier_slow:ratio_rate{w}{TASK}", "task", text=w) for w in WINDOWS),
            IN_TIME,
        ),
        Panel("In flight", COUNT, (of(f"sum by (task) (imagier_in_flight_tasks{TASK})", "task"),)),
    ),
    "Where the time goes": (
        Panel("Stages, mean", SECONDS, (mean("imagier_stage_duration_seconds", "task", "stage", where=TASK),)),
        Panel(
            "Stages, 95th percentile", SECONDS, (p95("imagier_stage_duration_seconds", "task", "stage", where=TASK),)
        ),
        Panel(
            "Decoding (shared by tasks)",
            SECONDS,
            (
                mean("imagier_stage_duration_seconds", "stage", where='{stage="decode"}'),
                p95("imagier_stage_duration_seconds", "stage", where='{stage="decode"}'),
            ),
        ),
        Panel("CPU cores of the gateways", COUNT, (of(f"task:imagier_cpu_seconds:rate5m{TASK}", "task"),)),
        Panel(
            "CPU seconds per task",
            SECONDS,
            (of(f"task:imagier_cpu_seconds:rate5m{TASK} / task:imagier_tasks:rate5m", "task"),),
        ),
        Panel("Cancelled", EVENTS, (rate("imagier_cancelled_total", "stage"),)),
    ),
}

ENGINES = {
    "Tritons, as the gateways see them": (
        Panel(
            "Known and ready",
            COUNT,
            (of("imagier_engines", "instance", text="known"), of("imagier_engines_up", "instance", text="up")),
        ),
        Panel("Ready", YES, (of("min by (engine) (imagier_engine_ready)", "engine"),)),
        Panel("Models ready", YES, (of(f"min by (model) (imagier_model_ready{MODEL})", "model"),)),
        Panel("Attempts", PER_SECOND, (rate("imagier_engine_attempts_total", "engine", "code"),)),
        Panel("Ejections", EVENTS, (rate("imagier_engine_ejections_total"),)),
        Panel("Retries", PER_SECOND, (rate("imagier_engine_retries_total", "outcome"),)),
        Panel("Restarts of embedded Tritons", EVENTS, (rate("imagier_engine_restarts_total", "reason"),)),
        Panel("Probes", PER_SECOND, (rate("imagier_model_probes_total", "model", "outcome", where=MODEL),)),
        Panel("In flight", COUNT, (of("sum by (engine) (imagier_engine_in_flight_requests)", "engine"),)),
        Panel("Requests", PER_SECOND, (rate("imagier_engine_requests_total", "model", "code", where=MODEL),)),
        Panel("Rows per request, mean", COUNT, (mean("imagier_engine_request_rows", "model", where=MODEL),)),
        Panel(
            "Versions in use",
            COUNT,
            (of(f"count by (model, version) (imagier_model_info{MODEL})", "model", "version"),),
        ),
    ),
    "As Triton reports": (
        Panel("Requests", PER_SECOND, (of(f"model:triton_requests:rate5m{MODEL}", "model"),)),
        Panel("Waiting in the queue", COUNT, (of(f"model:triton_pending_requests:sum{MODEL}", "model"),)),
        Panel("Failures", PER_SECOND, (of(f"model:triton_failures:rate5m{MODEL}", "model", "reason"),)),
        Panel("Time in the queue, mean", SECONDS, (of(f"model:triton_queue_seconds:mean_rate5m{MODEL}", "model"),)),
        Panel("Time computing, mean", SECONDS, (of(f"model:triton_compute_seconds:mean_rate5m{MODEL}", "model"),)),
        Panel("Total time, mean", SECONDS, (of(f"model:triton_request_seconds:mean_rate5m{MODEL}", "model"),)),
        Panel("Rows per batch, mean", COUNT, (of(f"model:triton_batch_rows:mean_rate5m{MODEL}", "model"),)),
        Panel("Power of the GPUs, by model", WATT, (of(f"model:triton_joules:rate5m{MODEL}", "model"),)),
    ),
    "Machines": (
        Panel("GPU busy", RATIO, (of("nv_gpu_utilization", "instance", "gpu_uuid"),)),
        Panel("GPU memory", RATIO, (of("instance:triton_gpu_memory:ratio", "instance", "gpu_uuid"),)),
        Panel("GPU power", WATT, (of("nv_gpu_power_usage", "instance", "gpu_uuid"),)),
        Panel("CPU busy", RATIO, (of("nv_cpu_utilization", "instance"),)),
    ),
}

DASHBOARDS: Mapping[str, tuple[Mapping[str, tuple[Panel, ...]], tuple[Choice, ...]]] = {
    "overview": (OVERVIEW, ()),
    "tasks": (TASKS, (Choice("task", "imagier_task_duration_seconds_count"),)),
    "engines": (ENGINES, (Choice("model", "imagier_model_info"),)),
}


def generate() -> Iterator[tuple[str, str]]:
    """Each dashboard's file name and content."""
    for name, (rows, choices) in DASHBOARDS.items():
        yield f"{name}.json", JSONEncoder(sort_keys=True, indent=2).encode(build(name, rows, choices)) + "\n"


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    for file, content in generate():
        (folder / file).write_text(content, encoding="utf-8")
