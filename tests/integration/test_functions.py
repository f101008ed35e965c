"""ClickHouse and Python say the same of the same sketches and sums."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
import pytest

from schemas.catalog import committed
from schemas.topics import Topic
from sinks.clickhouse import ClickHouse
from sinks.migrate import TableOptions, apply
from sinks.rows import Messages
from sinks.tables import TABLES
from streams import sketch
from streams.partials import from_record, merge
from tests.support import partials
from tests.support.events import NOW_MS, WEEK_MS, batch, inference, never_skipped
from tests.support.servers import ClickHouseServer

pytestmark = pytest.mark.integration
DATABASE = "parity"


@pytest.fixture(scope="module")
def server(clickhouse: ClickHouseServer) -> Iterator[ClickHouse]:
    found = ClickHouse(clickhouse.url, DATABASE)
    apply(found, TableOptions(database=DATABASE))
    yield found
    found.command(f"DROP DATABASE {DATABASE}")
    found.close()


def one(server: ClickHouse, expression: str, **parameters: Any) -> Any:
    return server.rows(f"SELECT {expression}", parameters)[0][0]


def test_a_bin_stands_for_the_same_value(server: ClickHouse) -> None:
    extremes = sketch.keys(np.array([5e-324, 1.7976931348623157e308, 1.0])).tolist()
    keys = [0, *extremes, *(-k for k in extremes), *range(2_600, 75_500, 997)]
    keys = [int(k) for k in keys]

    rows = server.rows(
        "SELECT rheostat_bin_value(arrayJoin({keys:Array(Int32)}) AS k), k", {"keys": keys}
    )

    assert {k for _, k in rows} == set(keys)
    for value, key in rows:
        assert value == pytest.approx(sketch.value_of(key), rel=1e-9, abs=1e-323), key


def merged(server: ClickHouse, q: float) -> list[tuple[Any, ...]]:
    return server.rows(
        f"SELECT metric, rheostat_quantile(sumMap(sketch), {q}), sum(n), sum(total_nanos) "
        f"FROM {DATABASE}.metric_panes GROUP BY metric ORDER BY metric"
    )


def test_quantiles_of_merged_panes_are_the_sketch_s(server: ClickHouse) -> None:
    """Parts inserted apart, merged by sumMap when read, and then by the engine for good."""
    rng = np.random.default_rng(5)
    latency = rng.lognormal(5, 1.5, 900)
    latency[:5] = 0.0
    events = [
        inference(
            occurred_at=NOW_MS - int(i % 7) * 3_600_000,
            latency_ms=float(ms),
            cost_usd=float(i % 3) / 1000,
            quality=None if i % 2 else 0.5,
        )
        for i, ms in enumerate(latency)
    ]
    frames: list[pl.DataFrame] = []
    for part in range(0, 900, 100):
        sent = partials.messages(events[part : part + 100], partitions=1)
        decoded = [partials.CODEC.decode(m.value, "MetricPartials") for m in sent]
        frames += [from_record(record).frame for record in decoded]
        rows = TABLES[Topic.METRIC_PARTIALS].rows(messages([m.value for m in sent]))
        server.insert("metric_panes", rows, f"part-{part}")
    bins: dict[str, dict[int, int]] = {}
    for row in merge(frames).iter_rows(named=True):
        into = bins.setdefault(row["metric"], {})
        for key, count in zip(row["bins"], row["counts"], strict=True):
            into[key] = into.get(key, 0) + count

    for settled in (False, True):
        if settled:
            server.command(f"OPTIMIZE TABLE {DATABASE}.metric_panes FINAL")
        for q in (0.0, 0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 1.0):
            for metric, estimate, n, _ in merged(server, q):
                ordered = sorted(bins[metric])
                expected = sketch.quantile(ordered, [bins[metric][k] for k in ordered], q)
                assert estimate == (None if expected is None else pytest.approx(expected)), metric
                assert n == (450 if metric == "quality" else 900)
            exact = float(np.quantile(latency, q, method="lower"))
            estimate = {m: e for m, e, _, _ in merged(server, q)}["latency_ms"]
            assert estimate == pytest.approx(exact, rel=0.0100001, abs=0)
        nanos = {m: total for m, _, _, total in merged(server, 0.5)}
        assert nanos["cost_usd"] == 300 * (1_000_000 + 2_000_000)
        assert "ttft_ms" not in nanos
        hours = (
            f"SELECT sum(n), uniqExact(hour) FROM {DATABASE}.metric_hours WHERE metric = 'error'"
        )
        assert server.rows(hours) == [(900, 7)]


def messages(values: list[bytes]) -> Messages:
    offsets = list(range(len(values)))
    return Messages(batch(values), 0, offsets, [], committed(), WEEK_MS, never_skipped)


def test_an_empty_sketch_has_no_quantile(server: ClickHouse) -> None:
    assert one(server, "rheostat_quantile(CAST(map(), 'Map(Int32, UInt64)'), 0.5)") is None


@pytest.mark.parametrize(
    "values",
    [
        [1.0, 2.0, 4.0],
        [0.0, 0.0, 1.0],
        [-5.0, 5.0],
        [1e9 + x for x in (0.0, 1e6, 2e6)],
        [0.001, 0.0011, 0.0009],
    ],
)
def test_variance_is_the_sample_s(server: ClickHouse, values: list[float]) -> None:
    assert variance(server, values) == pytest.approx(float(np.var(values, ddof=1)), rel=1e-5)


def variance(server: ClickHouse, values: list[float]) -> Any:
    total, squares = sum(values), sum(v * v for v in values)
    low, high = min(values, default=0.0), max(values, default=0.0)
    arguments = f"{len(values)}, {total!r}, {squares!r}, {low!r}, {high!r}"
    return one(server, f"rheostat_variance({arguments})")


@pytest.mark.parametrize("values", [[], [3.0], [1e9, 1e9 + 1e-3], [1e12 + i for i in range(5)]])
def test_no_variance_where_there_is_too_little_or_no_digits_are_left(
    server: ClickHouse, values: list[float]
) -> None:
    """Missing is not zero: a difference of two equal sums says nothing."""
    assert variance(server, values) is None


@pytest.mark.parametrize("value", [0.0, 0.1, 1e12])
def test_equal_values_do_have_a_variance_of_zero(server: ClickHouse, value: float) -> None:
    assert variance(server, [value] * 7) == 0


def test_panes_start_on_tens_of_seconds(server: ClickHouse) -> None:
    rows = server.rows(f"SELECT DISTINCT toUnixTimestamp(pane) FROM {DATABASE}.metric_panes")
    assert rows
    assert all(seconds % 10 == 0 for (seconds,) in rows)
