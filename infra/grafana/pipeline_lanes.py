"""Panels of the pipeline dashboard that Prometheus feeds: one function a lane."""

from collections.abc import Iterator
from typing import Any

from infra.grafana.panels import Lines, Steps, Style, graph
from infra.grafana.query import PrometheusQuery

LAG_STEPS: Steps = ((None, "green"), (100_000, "yellow"), (1_000_000, "red"))
DELAY_STEPS: Steps = ((None, "green"), (2, "yellow"), (10, "red"))
SCRAPED = "15s"


def prometheus(expr: str, legend: str = "", instant: bool = False) -> tuple[PrometheusQuery, ...]:
    """One query of Prometheus."""
    return (PrometheusQuery(expr, legend, instant=instant),)


def rate(metric: str, by: str) -> str:
    """Increase a second of a counter, summed by labels."""
    return f"sum by ({by}) (rate({metric}[$__rate_interval]))"


def percentile(metric: str, by: str, q: float) -> str:
    """A quantile of a histogram, by labels."""
    return f"histogram_quantile({q:g}, {rate(f'{metric}_bucket', f'le, {by}')})"


def data_lane() -> Iterator[Any]:
    """Counting events."""
    yield graph(
        "Events a second by topic",
        "Valid events, counted once each however often a batch is repeated.",
        prometheus(rate("rheostat_events_total", "topic"), "{{topic}}"),
        Style("eps", low=0),
        Lines(stacked=True, min_interval=SCRAPED),
        8,
    )
    yield graph(
        "Delay from arrival to result",
        "From the broker's timestamp of the oldest record of a batch to its durable result, p50 "
        "and p99 of each lane. During catch-up after an outage this shows the outage's length.",
        (
            PrometheusQuery(percentile("rheostat_end_to_end_seconds", "lane", 0.5), "{{lane}} p50"),
            PrometheusQuery(
                percentile("rheostat_end_to_end_seconds", "lane", 0.99), "{{lane}} p99", "B"
            ),
        ),
        Style("s", DELAY_STEPS, low=0),
        Lines(threshold=True, min_interval=SCRAPED),
        8,
    )
    yield graph(
        "Lag by lane and topic",
        "Records not yet processed. The largest value of a partition counts, since a process that "
        "lost a partition may still show an old one.",
        prometheus(
            "sum by (lane, topic) (max by (lane, topic, partition) (rheostat_lag_records))",
            "{{lane}} {{topic}}",
        ),
        Style("short", LAG_STEPS, low=0),
        Lines(min_interval=SCRAPED),
        8,
    )
    yield graph(
        "Batch size",
        "Mean number of records in a micro-batch of the data lane. Small batches at high load cost "
        "throughput; batches at the configured size mean that the lane is catching up.",
        prometheus(
            f"{rate('rheostat_batch_events_sum', 'lane')} / "
            f"{rate('rheostat_batch_events_count', 'lane')}",
            "{{lane}}",
        ),
        Style("short", low=0),
        Lines(min_interval=SCRAPED),
        8,
    )
    yield graph(
        "Transaction time",
        "Begin to commit of the Kafka transaction around a batch, p50 and p99. Seconds point to "
        "a broker that is short of disk or replicas.",
        (
            PrometheusQuery(percentile("rheostat_transaction_seconds", "job", 0.5), "p50"),
            PrometheusQuery(percentile("rheostat_transaction_seconds", "job", 0.99), "p99", "B"),
        ),
        Style("s", low=0),
        Lines(min_interval=SCRAPED),
        8,
    )
    yield graph(
        "Transactions aborted",
        "Batches that were undone and repeated, a minute. A few at a rebalance are normal and "
        "harmless: an aborted batch counts nowhere.",
        prometheus("60 * " + rate("rheostat_transaction_aborts_total", "process"), "{{process}}"),
        Style("short", low=0),
        Lines(min_interval=SCRAPED),
        8,
    )


def storage_lane() -> Iterator[Any]:
    """Into ClickHouse."""
    yield graph(
        "Rows a second by table",
        "Rows inserted. metric_panes grows with groups and time, not with events.",
        prometheus(rate("rheostat_rows_inserted_total", "table"), "{{table}}"),
        Style("rowsps", low=0),
        Lines(min_interval=SCRAPED),
        8,
    )
    yield graph(
        "Insert time p99",
        "99 of 100 inserts into each table took at most this long.",
        prometheus(percentile("rheostat_insert_seconds", "table", 0.99), "{{table}}"),
        Style("s", DELAY_STEPS, low=0),
        Lines(threshold=True, min_interval=SCRAPED),
        8,
    )
    yield graph(
        "Inserts repeated",
        "Inserts that ClickHouse did not accept and that are tried again, a minute, and batches "
        "repeated after a restart. Repeats change no count: each has its own token.",
        (
            PrometheusQuery(
                "60 * " + rate("rheostat_insert_retries_total", "table"), "{{table}} retries"
            ),
            PrometheusQuery(
                "60 * " + rate("rheostat_intents_replayed_total", "table"),
                "{{table}} after a restart",
                "B",
            ),
        ),
        Style("short", low=0),
        Lines(min_interval=SCRAPED),
        8,
    )


def control_lane() -> Iterator[Any]:
    """Decisions."""
    yield graph(
        "Messages applied",
        "Partials that each agent took in, and those that it recognised as already applied after "
        "a restart.",
        (
            PrometheusQuery(rate("rheostat_agent_messages_total", "agent"), "{{agent}}"),
            PrometheusQuery(
                rate("rheostat_agent_replays_total", "agent"), "{{agent}} recognised", "B"
            ),
        ),
        Style("short", low=0),
        Lines(min_interval=SCRAPED),
        8,
    )
    yield graph(
        "Published a minute",
        "Selection updates, verdicts and alerts. Silence on selection-updates for longer than "
        "their expiry means that clients fall back.",
        prometheus("60 * " + rate("rheostat_published_total", "topic"), "{{topic}}"),
        Style("short", low=0),
        Lines(min_interval=SCRAPED),
        8,
    )
    yield graph(
        "Entries of state",
        "What each agent remembers. It follows the number of models, capabilities and tests; "
        "endless growth would be a fault.",
        prometheus("sum by (agent) (rheostat_state_entries)", "{{agent}}"),
        Style("short", low=0),
        Lines(min_interval=SCRAPED),
        8,
    )
