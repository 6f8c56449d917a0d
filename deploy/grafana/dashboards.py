# SPDX-License-Identifier: Apache-2.0
"""Writes Grafana's dashboards into this folder (`make dashboards`): what is shown is below, how is the concern of Grafana's SDK."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement, TooltipDisplayMode
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    VariableOption,
    VariableRefresh,
)

HERE = Path(__file__).parent
PROMETHEUS = DataSourceRef(type_val="prometheus", uid="${datasource}")
RATIO, SECONDS, BYTES, COUNT, PER_SECOND, EVENTS, YES, WATT = (
    "percentunit",
    "s",
    "bytes",
    "short",
    "reqps",
    "cps",
    "bool_yes_no",
    "watt",
)


class Query(NamedTuple):
    """What is asked, and what its series are called: a text in which `{{label}}` is a label's value."""

    expression: str
    legend: str


class Panel(NamedTuple):
    """A graph over a third of the width."""

    title: str
    unit: str
    queries: tuple[Query, ...]


class Figure(Panel):
    """One number, as of now."""


class Choice(NamedTuple):
    """A variable, `$name`: which values of that label of that metric are shown. `everything` is All, if not each of them."""

    name: str
    metric: str
    everything: str = ""


def of(expression: str, *labels: str, text: str = "") -> Query:
    """A gauge, or what a rule has recorded."""
    return Query(expression, " ".join([*(f"{{{{{label}}}}}" for label in labels), *filter(None, [text])]))


def rate(counter: str, *labels: str, where: str = "", text: str = "") -> Query:
    """How often, a second."""
    return of(f"sum by ({', '.join(labels)}) (rate({counter}{where}[$__rate_interval]))", *labels, text=text)


def mean(histogram: str, *labels: str, where: str = "") -> Query:
    """The mean of what was observed."""
    over = (rate(f"{histogram}_{part}", *labels, where=where).expression for part in ("sum", "count"))
    return of(" / ".join(over), *labels)


def p95(histogram: str, *labels: str, where: str = "") -> Query:
    """What 95 of 100 observations stay below."""
    return of(
        f"histogram_quantile(0.95, {rate(f'{histogram}_bucket', *labels, 'le', where=where).expression})", *labels
    )


# What is scraped and what rules record; Kubernetes' name for where it comes from is added to each in one place.
METRIC = re.compile(r"\b((?:imagier|nv|process)_\w+|(?:task|instance|model):[\w:]+)(?:\{(.*?)\})?")
NAMESPACE = 'namespace=~"$namespace"'
GATEWAYS = "and on (job, instance) imagier_build_info"
TASK = '{task=~"$task"}'
MODEL = '{model=~"$model"}'
WINDOWS = ("5m", "1h", "6h", "3d")

OVERVIEW = {
    "Now": (
        Figure("Tasks", PER_SECOND, (of("sum(task:imagier_tasks:rate5m)"),)),
        Figure("Failed through our fault, 1 h", RATIO, (of("task:imagier_errors:ratio_rate1h", "task"),)),
        Figure("Later than the threshold, 1 h", RATIO, (of("task:imagier_slow:ratio_rate1h", "task"),)),
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
            "Time to the answer, 95th percentile",
            SECONDS,
            (of("task:imagier_task_duration_seconds:p95_rate5m", "task"),),
        ),
        Panel("Failures by reason", RATIO, (of("task:imagier_failures:ratio_rate5m > 0", "task", "reason"),)),
        Panel("Pictures", PER_SECOND, (rate("imagier_requests_total", "lane", "code"),)),
        Panel("Time for a picture, 95th percentile", SECONDS, (p95("imagier_request_duration_seconds", "lane"),)),
        Panel("Keywords matched", PER_SECOND, (rate("imagier_keyword_requests_total", "code"),)),
        Panel(
            "Pace of the error budget: 1 lasts 30 days",
            COUNT,
            tuple(of(f"task:imagier_errors:ratio_rate{w} / 0.005", "task", text=w) for w in ("1h", "6h")),
        ),
        Panel(
            "Pace of the latency budget: 1 lasts 30 days",
            COUNT,
            tuple(of(f"task:imagier_slow:ratio_rate{w} / 0.05", "task", text=w) for w in ("1h", "6h")),
        ),
    ),
    "Room": (
        Panel(
            "In flight, of what may be",
            RATIO,
            tuple(
                of(f"instance:imagier_in_flight_{what}:ratio", "instance", text=what) for what in ("pictures", "bytes")
            ),
        ),
        Panel("Decoders busy", RATIO, (of("instance:imagier_decoders_busy:ratio", "instance"),)),
        Panel(
            "Waiting",
            COUNT,
            (
                of("imagier_decoder_waiting_pictures", "instance", text="for a decoder"),
                of("imagier_waiting_streams", "instance", text="streams, for room"),
                of("model:triton_pending_requests:sum", "model", text="in Triton"),
            ),
        ),
        Panel(
            "Processor cores",
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
            "Event loop late, 99th percentile",
            SECONDS,
            (of("instance:imagier_event_loop_lag_seconds:p99_rate5m", "instance"),),
        ),
    ),
    "Pictures": (
        Panel("Decoded", EVENTS, (rate("imagier_image_pixels_count", "format"),)),
        Panel("Size of the file, 95th percentile", BYTES, (p95("imagier_image_bytes", "format"),)),
        Panel("Pixels, 95th percentile", COUNT, (p95("imagier_image_pixels", "format"),)),
        Panel("Not decoded", EVENTS, (rate("imagier_decoder_failures_total", "format", "reason"),)),
        Panel("Decoders replaced", EVENTS, (rate("imagier_decoder_restarts_total", "instance"),)),
    ),
}

TASKS = {
    "What callers see": (
        Panel("By outcome", PER_SECOND, (rate("imagier_tasks_total", "task", "code", where=TASK),)),
        Panel(
            "Time to the answer",
            SECONDS,
            tuple(
                of(f"task:imagier_task_duration_seconds:{p}_rate5m{TASK}", "task", text=p)
                for p in ("p50", "p95", "p99")
            ),
        ),
        Panel("Failures by reason", RATIO, (of(f"task:imagier_failures:ratio_rate5m{TASK} > 0", "task", "reason"),)),
        Panel(
            "Failed through our fault",
            RATIO,
            tuple(of(f"task:imagier_errors:ratio_rate{w}{TASK}", "task", text=w) for w in WINDOWS),
        ),
        Panel(
            "Later than the threshold",
            RATIO,
            tuple(of(f"task:imagier_slow:ratio_rate{w}{TASK}", "task", text=w) for w in WINDOWS),
        ),
        Panel("In flight", COUNT, (of(f"sum by (task) (imagier_in_flight_tasks{TASK})", "task"),)),
    ),
    "Where the time goes": (
        Panel("Stages, mean", SECONDS, (mean("imagier_stage_duration_seconds", "task", "stage", where=TASK),)),
        Panel(
            "Stages, 95th percentile", SECONDS, (p95("imagier_stage_duration_seconds", "task", "stage", where=TASK),)
        ),
        Panel(
            "Decoding, which tasks share",
            SECONDS,
            (
                mean("imagier_stage_duration_seconds", "stage", where='{stage="decode"}'),
                p95("imagier_stage_duration_seconds", "stage", where='{stage="decode"}'),
            ),
        ),
        Panel("Processor cores of the gateways", COUNT, (of(f"task:imagier_cpu_seconds:rate5m{TASK}", "task"),)),
        Panel(
            "Processor seconds for one",
            SECONDS,
            (of(f"task:imagier_cpu_seconds:rate5m{TASK} / task:imagier_tasks:rate5m", "task"),),
        ),
        Panel("Given up", EVENTS, (rate("imagier_cancelled_total", "stage"),)),
    ),
}

ENGINES = {
    "Tritons, as the gateways see them": (
        Panel(
            "Known and up",
            COUNT,
            (of("imagier_engines", "instance", text="known"), of("imagier_engines_up", "instance", text="up")),
        ),
        Panel("Ready", YES, (of("min by (engine) (imagier_engine_ready)", "engine"),)),
        Panel("Models ready", YES, (of(f"min by (model) (imagier_model_ready{MODEL})", "model"),)),
        Panel("Attempts", PER_SECOND, (rate("imagier_engine_attempts_total", "engine", "code"),)),
        Panel("Given up", EVENTS, (rate("imagier_engine_ejections_total"),)),
        Panel("Second attempts", PER_SECOND, (rate("imagier_engine_retries_total", "outcome"),)),
        Panel("In flight", COUNT, (of("sum by (engine) (imagier_engine_in_flight_requests)", "engine"),)),
        Panel("Requests", PER_SECOND, (rate("imagier_engine_requests_total", "model", "code", where=MODEL),)),
        Panel("Rows of a request, mean", COUNT, (mean("imagier_engine_request_rows", "model", where=MODEL),)),
        Panel(
            "Versions at once",
            COUNT,
            (of(f"count by (model, version) (imagier_model_info{MODEL})", "model", "version"),),
        ),
    ),
    "Triton's own account": (
        Panel("Requests", PER_SECOND, (of(f"model:triton_requests:rate5m{MODEL}", "model"),)),
        Panel("Waiting in the queue", COUNT, (of(f"model:triton_pending_requests:sum{MODEL}", "model"),)),
        Panel("Failures", PER_SECOND, (of(f"model:triton_failures:rate5m{MODEL}", "model", "reason"),)),
        Panel("Time in the queue, mean", SECONDS, (of(f"model:triton_queue_seconds:mean_rate5m{MODEL}", "model"),)),
        Panel("Time computing, mean", SECONDS, (of(f"model:triton_compute_seconds:mean_rate5m{MODEL}", "model"),)),
        Panel("Time in all, mean", SECONDS, (of(f"model:triton_request_seconds:mean_rate5m{MODEL}", "model"),)),
        Panel("Rows of a batch, mean", COUNT, (of(f"model:triton_batch_rows:mean_rate5m{MODEL}", "model"),)),
    ),
    "Machines": (
        Panel("GPU busy", RATIO, (of("nv_gpu_utilization", "instance", "gpu_uuid"),)),
        Panel("GPU memory", RATIO, (of("instance:triton_gpu_memory:ratio", "instance", "gpu_uuid"),)),
        Panel("GPU power", WATT, (of("nv_gpu_power_usage", "instance", "gpu_uuid"),)),
        Panel("Processors busy", RATIO, (of("nv_cpu_utilization", "instance"),)),
    ),
}

DASHBOARDS: Mapping[str, tuple[Mapping[str, tuple[Panel, ...]], tuple[Choice, ...]]] = {
    "overview": (OVERVIEW, ()),
    "tasks": (TASKS, (Choice("task", "imagier_task_duration_seconds_count"),)),
    "engines": (ENGINES, (Choice("model", "imagier_model_info"),)),
}


def generate() -> Iterator[tuple[Path, str]]:
    """Each dashboard's file and content."""
    for name, (rows, choices) in DASHBOARDS.items():
        yield HERE / f"{name}.json", JSONEncoder(sort_keys=True, indent=2).encode(_build(name, rows, choices)) + "\n"


def _build(name: str, rows: Mapping[str, tuple[Panel, ...]], choices: tuple[Choice, ...]) -> object:
    board = (
        dashboard.Dashboard(f"Imagier: {name}")
        .uid(f"imagier-{name}")
        .tags(["imagier"])
        .time("now-3h", "now")
        .refresh("30s")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(dashboard.DashboardLink("Imagier").type(DashboardLinkType.DASHBOARDS).tags(["imagier"]).keep_time(True))
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    )
    # Outside Kubernetes no series has a namespace, and `.*` matches none, too.
    for choice in (Choice("namespace", "imagier_build_info", ".*"), *choices):
        variable = (
            dashboard.QueryVariable(choice.name)
            .datasource(PROMETHEUS)
            .query(f"label_values({choice.metric}, {choice.name})")
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .multi(True)
            .include_all(True)
            .current(VariableOption(selected=True, text="All", value="$__all"))
        )
        board.with_variable(variable.all_value(choice.everything) if choice.everything else variable)
    for title, panels in rows.items():
        board.with_row(dashboard.Row(title))
        for panel in panels:
            board.with_panel(_filled(_figure() if isinstance(panel, Figure) else _graph(), panel))
    return board.build()


def _figure() -> stat.Panel:
    return stat.Panel().span(4).height(4).reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))


def _graph() -> timeseries.Panel:
    legend = common.VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM)
    tooltip = common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI)
    return timeseries.Panel().span(8).height(8).min(0).legend(legend.show_legend(True)).tooltip(tooltip)


def _filled(drawn: stat.Panel | timeseries.Panel, panel: Panel) -> stat.Panel | timeseries.Panel:
    drawn.title(panel.title).unit(panel.unit).datasource(PROMETHEUS)
    for place, query in enumerate(panel.queries):
        expression = METRIC.sub(_in_namespace, query.expression)
        target = prometheus.Dataquery().expr(expression).legend_format(query.legend).ref_id("ABCDEF"[place])
        drawn.with_target(target.instant() if isinstance(panel, Figure) else target.range())
    return drawn


def _in_namespace(metric: re.Match[str]) -> str:
    return f"{metric[1]}{{{','.join(filter(None, (NAMESPACE, metric[2])))}}}"


if __name__ == "__main__":
    for path, content in generate():
        path.write_text(content, encoding="utf-8")
