"""The few kinds of panel that the dashboards are made of, in one style."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from grafana_foundation_sdk.builders import common
from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.builders.stat import Panel as StatBuilder
from grafana_foundation_sdk.builders.statetimeline import Panel as StateTimelineBuilder
from grafana_foundation_sdk.builders.table import Panel as TableBuilder
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeriesBuilder
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    GraphTresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    LineInterpolation,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DataTransformerConfig,
    DynamicConfigValue,
    Threshold,
    ThresholdsMode,
)

from infra.grafana.query import (
    CLICKHOUSE,
    PROMETHEUS,
    ClickHouseQuery,
    Format,
    PrometheusQuery,
    Target,
)

NO_VALUE = "no data"
PANE = "10s"
"""The shortest interval that panels of metric_panes ask for."""

Steps = Sequence[tuple[float | None, str]]
GREEN: Steps = ((None, "green"),)
Queries = Sequence[ClickHouseQuery] | Sequence[PrometheusQuery]


@dataclass(frozen=True, slots=True)
class Style:
    """How numbers look. `steps`: (from this value on, colour); the first begins at None."""

    unit: str = "short"
    steps: Steps = GREEN
    decimals: int | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """How a table shows one column. `links`: (title, URL)."""

    unit: str = ""
    steps: Steps = ()
    decimals: int | None = None
    width_px: int | None = None
    links: Sequence[tuple[str, str]] = ()

    def properties(self) -> list[DynamicConfigValue]:
        """As Grafana's field overrides."""
        given: dict[str, Any] = {}
        if self.unit:
            given["unit"] = self.unit
        if self.decimals is not None:
            given["decimals"] = self.decimals
        if self.width_px is not None:
            given["custom.width"] = self.width_px
        if self.steps:
            given["thresholds"] = _thresholds(self.steps).build()
            given["custom.cellOptions"] = {"type": "color-text"}
        if self.links:
            given["links"] = [{"title": title, "url": url} for title, url in self.links]
        return [DynamicConfigValue(name, value) for name, value in given.items()]


@dataclass(frozen=True, slots=True)
class Lines:
    """How a graph draws. `name`: of a series; `threshold`: draw the steps as lines."""

    name: str = ""
    stacked: bool = False
    stairs: bool = False
    threshold: bool = False
    min_interval: str = PANE
    fill_between: Mapping[str, str] = field(default_factory=dict)


def sql(text: str, ref_id: str = "A") -> tuple[ClickHouseQuery, ...]:
    """Rows as a table."""
    return (ClickHouseQuery(text, Format.TABLE, ref_id),)


def sql_series(text: str, ref_id: str = "A") -> tuple[ClickHouseQuery, ...]:
    """Rows as series: `time`, text columns as labels, numbers as values; ordered by time."""
    return (ClickHouseQuery(text, Format.TIME_SERIES, ref_id),)


def stat(title: str, description: str, queries: Queries, style: Style, span: int = 4) -> Any:
    """One number, coloured by its steps."""
    panel = (
        StatBuilder()
        .color_mode(BigValueColorMode.VALUE)
        .graph_mode(BigValueGraphMode.NONE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).fields("/.*/"))
    )
    return _common(_styled(panel, style), title, description, queries, span, 4)


def graph(
    title: str,
    description: str,
    queries: Queries,
    style: Style,
    lines: Lines | None = None,
    span: int = 12,
) -> Any:
    """Lines over time. A missing value is a gap, never joined and never zero."""
    lines = lines or Lines()
    panel = (
        TimeSeriesBuilder()
        .line_width(1)
        .fill_opacity(25 if lines.stacked else 5)
        .show_points(VisibilityMode.AUTO)
        .span_nulls(False)
        .interval(lines.min_interval)
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.TABLE)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs(["lastNotNull", "mean", "max"])
        )
        .tooltip(
            common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING)
        )
    )
    if lines.name:
        panel = panel.display_name(lines.name)
    if lines.stacked:
        panel = panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    if lines.stairs:
        panel = panel.line_interpolation(LineInterpolation.STEP_AFTER)
    if lines.threshold:
        panel = panel.thresholds_style(
            common.GraphThresholdsStyleConfig().mode(GraphTresholdsStyleMode.DASHED)
        )
    for upper, lower in lines.fill_between.items():
        between = [
            DynamicConfigValue("custom.fillBelowTo", lower),
            DynamicConfigValue("custom.fillOpacity", 15),
        ]
        panel = panel.override_by_name(upper, between)
    return _common(_styled(panel, style), title, description, queries, span, 8)


def table(
    title: str,
    description: str,
    queries: Queries,
    columns: Mapping[str, Column],
    span: int = 24,
    height: int = 8,
) -> Any:
    """Rows; columns without a Column are shown as they come."""
    panel = TableBuilder().show_header(True)
    for name, column in columns.items():
        panel = panel.override_by_name(name, column.properties())
    return _common(panel, title, description, queries, span, height)


def timeline(title: str, description: str, queries: Queries, partition: str, span: int = 24) -> Any:
    """Which state held when, one band for each value of the column `partition`."""
    options = {"fields": [partition], "keepFields": False, "naming": {"asLabels": True}}
    panel = (
        StateTimelineBuilder()
        .merge_values(True)
        .show_value(VisibilityMode.AUTO)
        .with_transformation(DataTransformerConfig("partitionByValues", options=options))
        .display_name(f"${{__field.labels.{partition}}}")
    )
    return _common(panel, title, description, queries, span, 6)


def _styled(panel: Any, style: Style) -> Any:
    panel = panel.unit(style.unit).thresholds(_thresholds(style.steps))
    if style.decimals is not None:
        panel = panel.decimals(style.decimals)
    if style.low is not None:
        panel = panel.min(style.low)
    if style.high is not None:
        panel = panel.max(style.high)
    return panel


def _common(
    panel: Any, title: str, description: str, queries: Queries, span: int, height: int
) -> Any:
    source = CLICKHOUSE if isinstance(queries[0], ClickHouseQuery) else PROMETHEUS
    panel = panel.title(title).description(description).datasource(source)
    panel = panel.no_value(NO_VALUE).span(span).height(height)
    for query in queries:
        panel = panel.with_target(Target(query))
    return panel


def _thresholds(steps: Steps) -> ThresholdsConfig:
    marks = [Threshold(value, colour) for value, colour in steps]
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(marks)
