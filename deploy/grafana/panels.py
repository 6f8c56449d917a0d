# SPDX-License-Identifier: Apache-2.0
"""Builds dashboards with Grafana's SDK."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement, TooltipDisplayMode
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    VariableOption,
    VariableRefresh,
)

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
    """A query and its legend, in which `{{label}}` is a label's value."""

    expression: str
    legend: str


class Panel(NamedTuple):
    """A graph over a third of the width."""

    title: str
    unit: str
    queries: tuple[Query, ...]
    description: str = ""


class Figure(Panel):
    """One number, as of now."""


class Choice(NamedTuple):
    """A variable `$name` that selects values of a metric's label. `everything` is the value of All."""

    name: str
    metric: str
    everything: str = ""


def of(expression: str, *labels: str, text: str = "") -> Query:
    """A gauge, or a recorded series."""
    return Query(expression, " ".join([*(f"{{{{{label}}}}}" for label in labels), *filter(None, [text])]))


def rate(counter: str, *labels: str, where: str = "", text: str = "") -> Query:
    """A rate per second."""
    return of(f"sum by ({', '.join(labels)}) (rate({counter}{where}[$__rate_interval]))", *labels, text=text)


def mean(histogram: str, *labels: str, where: str = "") -> Query:
    """The mean of a histogram."""
    over = (rate(f"{histogram}_{part}", *labels, where=where).expression for part in ("sum", "count"))
    return of(" / ".join(over), *labels)


def p95(histogram: str, *labels: str, where: str = "") -> Query:
    """The 95th percentile of a histogram."""
    return of(
        f"histogram_quantile(0.95, {rate(f'{histogram}_bucket', *labels, 'le', where=where).expression})", *labels
    )


# Scraped and recorded series; the label `namespace` is added to all of them in one place.
METRIC = re.compile(r"\b((?:imagier|nv|process)_\w+|(?:task|instance|model):[\w:]+)(?:\{(.*?)\})?")
NAMESPACE = 'namespace=~"$namespace"'


def build(name: str, rows: Mapping[str, tuple[Panel, ...]], choices: tuple[Choice, ...]) -> object:
    """A dashboard with the panels of each row, and a choice of the namespace and of `choices`."""
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
    if panel.description:
        drawn.description(panel.description)
    for place, query in enumerate(panel.queries):
        expression = METRIC.sub(_in_namespace, query.expression)
        target = prometheus.Dataquery().expr(expression).legend_format(query.legend).ref_id("ABCDEF"[place])
        drawn.with_target(target.instant() if isinstance(panel, Figure) else target.range())
    return drawn


def _in_namespace(metric: re.Match[str]) -> str:
    return f"{metric[1]}{{{','.join(filter(None, (NAMESPACE, metric[2])))}}}"
