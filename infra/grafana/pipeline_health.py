"""Dashboard: whether the pipeline keeps up, from Prometheus and from the tables themselves."""

from collections.abc import Iterator
from typing import Any

from infra.grafana import pipeline_lanes, variables
from infra.grafana.page import Page, Row
from infra.grafana.panels import Column, Lines, Style, graph, sql, sql_series, stat, table
from infra.grafana.pipeline_lanes import DELAY_STEPS, LAG_STEPS, SCRAPED, prometheus

JOB = 'job="rheostat"'
PANE_RANGE = (
    "{column} >= toStartOfInterval($__fromTime, INTERVAL 10 second) "
    "AND {column} < toStartOfInterval($__toTime, INTERVAL 10 second)"
)
"""Whole panes only, so that rows and panes cover the same time."""


def page() -> Page:
    """The dashboard."""
    return Page(
        uid="rheostat-pipeline",
        file="pipeline_health.json",
        title="Rheostat / Pipeline health",
        description="For operators: throughput, delay, lag, errors and storage of every process.",
        variables=(variables.prometheus(), variables.clickhouse()),
        rows=(
            Row("At a glance", tuple(_glance())),
            Row("Data lane: counting events", tuple(pipeline_lanes.data_lane())),
            Row("Storage lane: into ClickHouse", tuple(pipeline_lanes.storage_lane())),
            Row("Control lane: decisions", tuple(pipeline_lanes.control_lane())),
            Row("Rejected records", tuple(_dead_letters())),
            Row("Processes and tables", tuple(_processes())),
        ),
    )


def _glance() -> Iterator[Any]:
    yield stat(
        "Processes down",
        "Processes that Prometheus knows and cannot reach. No data: it was told of none; see "
        "infra/prometheus/prometheus.yml.",
        prometheus(f"count(up{{{JOB}}}) - sum(up{{{JOB}}})", instant=True),
        Style("short", ((None, "green"), (1, "red")), 0),
    )
    yield stat(
        "Events a second",
        "Events counted by the data lane, all topics and workers together.",
        prometheus("sum(rate(rheostat_events_total[$__rate_interval]))", instant=True),
        Style("eps", decimals=0),
    )
    yield stat(
        "Lag, records",
        "Records in Kafka that some lane has yet to take. A steady number is fine; a growing one "
        "means that a lane is slower than its input: start more workers of it.",
        prometheus("sum(max by (lane, topic, partition) (rheostat_lag_records))", instant=True),
        Style("short", LAG_STEPS, 0),
    )
    stored = 'rheostat_end_to_end_seconds_bucket{lane="sinks"}'
    yield stat(
        "Delay until stored, p99",
        "99 of 100 batches were stored within this time of their oldest record's arrival at the "
        "broker. Yellow from 2 s, red from 10 s.",
        prometheus(
            f"histogram_quantile(0.99, sum by (le) (rate({stored}[$__rate_interval])))",
            instant=True,
        ),
        Style("s", DELAY_STEPS, 2),
    )
    yield stat(
        "Rejected a second",
        "Records filed as dead letters: bad input, not faults of the pipeline.",
        prometheus(
            "sum(rate(rheostat_rejects_total[$__rate_interval])) or vector(0)", instant=True
        ),
        Style("recps", ((None, "green"), (0.1, "yellow"), (10, "red")), 2),
    )
    yield stat(
        "Counted less stored",
        "Events counted in metric_panes less rows in inference_events, for whole panes of the "
        "range. The two are stored independently: a difference in a range that ends now is one "
        "ahead of the other; in a range that ended minutes ago it must be 0.",
        sql(
            "SELECT if(counted + stored = 0, NULL, "
            "toInt64(counted) - toInt64(stored)) AS difference\n"
            "FROM (\n    SELECT (\n"
            "        SELECT sum(n) FROM metric_panes\n"
            "        WHERE metric = 'error' AND source = 'production'\n"
            f"            AND {PANE_RANGE.format(column='pane')}\n    ) AS counted, (\n"
            "        SELECT count() FROM inference_events\n"
            f"        WHERE {PANE_RANGE.format(column='occurred_at')}\n    ) AS stored\n)"
        ),
        Style("short", ((None, "yellow"), (0, "green"), (1, "yellow")), 0),
    )


def _dead_letters() -> Iterator[Any]:
    yield graph(
        "Dead letters by reason",
        "Rejected records by reason code, by the time they were rejected.",
        sql_series(
            "SELECT $__timeInterval(rejected_at) AS time, reason_code, count() AS records\n"
            "FROM dead_letters\nWHERE $__timeFilter(rejected_at)\n"
            "GROUP BY time, reason_code\nORDER BY time"
        ),
        Style("short", low=0),
        Lines("${__field.labels.reason_code}", stacked=True),
        10,
    )
    yield table(
        "Latest dead letters",
        "Where each record stood in Kafka, and why it was rejected, with the field. The untouched "
        "bytes are in the column `value` of dead_letters.",
        sql(
            "SELECT rejected_at AS rejected, source_topic AS topic, source_partition AS partition, "
            "source_offset AS offset, reason_code AS code, field, reason\nFROM dead_letters\n"
            "WHERE $__timeFilter(rejected_at)\nORDER BY rejected_at DESC\nLIMIT 100"
        ),
        {"reason": Column(width_px=400), "partition": Column(width_px=80)},
        span=14,
    )


def _processes() -> Iterator[Any]:
    yield graph(
        "Memory of each process",
        "Resident memory. It must stay flat under a steady load.",
        prometheus(f"process_resident_memory_bytes{{{JOB}}}", "{{process}}"),
        Style("bytes", low=0),
        Lines(min_interval=SCRAPED),
        8,
    )
    yield graph(
        "Processor time of each process",
        "Cores in use. A worker near 1 is the limit of its lane: start another.",
        prometheus(f"rate(process_cpu_seconds_total{{{JOB}}}[$__rate_interval])", "{{process}}"),
        Style("short", low=0),
        Lines(min_interval=SCRAPED),
        8,
    )
    yield table(
        "Tables",
        "Rows, size on disk and active parts of each table. Hundreds of parts in a partition mean "
        "that merges do not keep up with inserts.",
        sql(
            "SELECT table, sum(rows) AS rows, sum(bytes_on_disk) AS bytes, count() AS parts, "
            "max(modification_time) AS written\nFROM system.parts\n"
            "WHERE active AND database = currentDatabase()\nGROUP BY table\nORDER BY bytes DESC"
        ),
        {"rows": Column("short"), "bytes": Column("bytes"), "parts": Column("short", decimals=0)},
        span=8,
    )
