"""How fast the sink stores, beside insert_arrow alone of the same rows into the same engine."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from confluent_kafka import TopicPartition

from bench.context import Context
from bench.figures import Figure, median, ratio
from bench.lab import CODEC, Offsets, forget_group, read_messages
from bench.traffic import Columns, Sender, Traffic, columns, messages, registry
from infra.settings import Settings
from infra.workers import kafka_config, migrate
from schemas.catalog import committed
from schemas.topics import Topic
from sinks.rows import Messages
from sinks.tables import TABLES, TableSpec
from streams.emit import Envelope, partials
from streams.price import price_table
from streams.reduce import Context as Reduction
from streams.reduce import reduce
from streams.source import raw_batch
from streams.types import Coordinates, RawBatch
from tests.support.events import never_skipped

DAY_MS = 86_400_000
POLL_S = 0.02
TIMEOUT_S = 600.0
NEARLY = 0.9
ALONE = "bench_alone"
BATCH = 50_000


@dataclass(frozen=True, slots=True)
class Case:
    """A filled topic, its table, and its rows as the sink makes them of whole batches."""

    name: str
    settings: Settings
    spec: TableSpec
    records: int
    tables: Sequence[pa.Table]

    @property
    def rows(self) -> int:
        return sum(table.num_rows for table in self.tables)

    @property
    def counted(self) -> str:
        """What stays the same when the engine merges rows: rows of events, counts of panes."""
        return "sum(n)" if self.spec.topic is Topic.METRIC_PARTIALS else "count()"

    @property
    def total(self) -> int:
        """The value of `counted` when everything is stored once."""
        if self.spec.topic is Topic.METRIC_PARTIALS:
            return sum(int(table["n"].to_numpy().sum()) for table in self.tables)
        return self.rows


@dataclass(frozen=True, slots=True)
class Stored:
    """Rows stored in some seconds."""

    rows: int
    seconds: float

    @property
    def rate(self) -> float:
        return self.rows / self.seconds


def run(context: Context) -> dict[str, Figure]:
    """insert_arrow and the sink in turns, for raw events and for panes."""
    context.lab.start_clickhouse()
    figures: dict[str, Figure] = {}
    alone_s: dict[int, float] = {}
    sink_s: dict[int, float] = {}
    for case in (_events_case(context), _panes_case(context)):
        alone: list[Stored] = []
        sink: list[Stored] = []
        for number in range(1, context.rounds + 1):
            context.say(f"round {number} of {context.rounds}: {case.name} by insert_arrow alone")
            _new_tables(context, case)
            alone.append(_insert_alone(context, case))
            context.say(f"round {number} of {context.rounds}: {case.name} by the sink")
            sink.append(_sink(context, case))
            alone_s[number] = alone_s.get(number, 0.0) + case.rows / alone[-1].rate
            sink_s[number] = sink_s.get(number, 0.0) + case.rows / sink[-1].rate
        rates, alone_rates = ([s.rate for s in runs] for runs in (sink, alone))
        figures |= {
            f"storage_lane.{case.name}": case.rows,
            f"storage_lane.{case.name}_per_second": round(median(rates)),
            f"storage_lane.{case.name}_insert_arrow_per_second": round(median(alone_rates)),
            f"storage_lane.{case.name}_ratio": round(ratio(rates, alone_rates), 4),
        }
    both = ratio(list(alone_s.values()), list(sink_s.values()))
    return {**figures, "storage_lane.ratio_to_insert_arrow": round(both, 4)}


def _chunks(events: int) -> Iterator[tuple[int, Columns]]:
    traffic = Traffic(events, int(time.time() * 1000) - DAY_MS // 2)
    return enumerate(columns(traffic))


def _events_case(context: Context) -> Case:
    events = context.events // 2
    settings = context.lab.new_settings()
    topic = kafka_config(settings).topic(Topic.INFERENCE_EVENTS)
    sender = Sender(settings.bootstrap)
    with context.progress(f"producing {events:,} events", events) as advance:
        for _, chunk in _chunks(events):
            for key, value in messages(chunk):
                sender.send(topic, value, key)
            sender.poll()
            advance(len(chunk.number))
        sender.finish()
    return _case("events", settings, Topic.INFERENCE_EVENTS)


def _panes_case(context: Context) -> Case:
    """What the data lane makes of the same events, batch by batch."""
    events = context.events // 2
    settings = context.lab.new_settings()
    topic = kafka_config(settings).topic(Topic.METRIC_PARTIALS)
    prices = price_table(m for m in registry(Traffic(1, 0)))  # type: ignore[misc]  # all are models
    reduction = Reduction(committed(), {"events": "InferenceEvent"}, prices, DAY_MS)
    sender = Sender(settings.bootstrap)
    with context.progress(f"reducing {events:,} events", events) as advance:
        for _, chunk in _chunks(events):
            values = [value for _, value in messages(chunk)]
            at = int(chunk.occurred_at[-1])
            raw = RawBatch("events", values, _nowhere, at, at)
            reduced = reduce([raw], reduction)
            envelope = Envelope("bench", datetime.now(UTC), ())
            for out in partials(reduced.wide, [], envelope, settings.partitions, CODEC):
                sender.send(
                    topic, out.value, out.key, -1 if out.partition is None else out.partition
                )
            sender.poll()
            advance(len(values))
        sender.finish()
    return _case("panes", settings, Topic.METRIC_PARTIALS)


def _nowhere(_: int) -> Coordinates:
    return Coordinates(0, 0, 0, None)


def _case(name: str, settings: Settings, topic: Topic) -> Case:
    """Reads the topic back and makes rows of it by the sink's own functions."""
    spec = TABLES[topic]
    offsets = Offsets(settings, "bench-reader", topic)
    ends = offsets.ends()
    offsets.close()
    tables = []
    for at in ends:
        first = [TopicPartition(at.topic, at.partition, 0)]
        found = read_messages(settings, first, [at])
        for begin in range(0, len(found), spec.messages_max):
            batch = found[begin : begin + spec.messages_max]
            raw = raw_batch(at.topic, batch, [(0, len(batch) - 1)])
            places: list[Any] = [m.offset() for m in batch]
            week = 7 * DAY_MS
            messages = Messages(raw, at.partition, places, (), committed(), week, never_skipped)
            tables.append(spec.rows(messages))
    return Case(name, settings, spec, sum(at.offset for at in ends), tables)


def _new_tables(context: Context, case: Case) -> None:
    """Empty tables: the sink's by the migrations, and a twin for insert_arrow alone."""
    client = context.lab.client()
    for database in ("rheostat", ALONE):
        client.command(f"DROP DATABASE IF EXISTS {database} SYNC")
    migrate(case.settings)
    client.command(f"CREATE DATABASE {ALONE}")
    client.command(f"CREATE TABLE {ALONE}.{case.spec.table} AS rheostat.{case.spec.table}")
    client.close()


def _insert_alone(context: Context, case: Case) -> Stored:
    """Nothing but insert_arrow with its defaults, one insert a batch."""
    client = context.lab.client()
    began = time.perf_counter()
    for table in case.tables:
        client.insert_arrow(case.spec.table, table, database=ALONE)
    seconds = time.perf_counter() - began
    _check(case, client, ALONE)
    client.close()
    return Stored(case.rows, seconds)


def _sink(context: Context, case: Case) -> Stored:
    """The sink worker from its first stored batch until nearly everything is stored.

    What comes before is its start; what comes after may be a batch that waits for its linger.
    """
    forget_group(case.settings, "sinks")
    offsets = Offsets(case.settings, "sinks", case.spec.topic)
    client = context.lab.client()
    try:
        with context.lab.worker("sinks", case.settings) as worker:
            seen = _watch(offsets, case.records)
            rows = worker.counter("rheostat_rows_inserted_total", table=case.spec.table)
        _check(case, client, "rheostat")
    finally:
        offsets.close()
        client.close()
    first, last = seen[0], next(look for look in seen if look[1] >= NEARLY * case.records)
    share = (last[1] - first[1]) / case.records
    return Stored(round(rows * share), last[0] - first[0])


def _watch(offsets: Offsets, records: int) -> list[tuple[float, int]]:
    """(seconds, records stored) after each batch."""
    began, seen = time.perf_counter(), [(0.0, 0)]
    while seen[-1][1] < records:
        time.sleep(POLL_S)
        now, stored = time.perf_counter() - began, offsets.committed()
        if stored > seen[-1][1]:
            seen.append((now, stored))
        elif now > TIMEOUT_S:
            raise TimeoutError(f"the sink stored {stored} of {records} records")
    return seen[1:]


def _check(case: Case, client: Any, database: str) -> None:
    """Raises RuntimeError unless everything is stored exactly once."""
    found = client.command(f"SELECT {case.counted} FROM {database}.{case.spec.table}")
    if int(found) != case.total:
        raise RuntimeError(f"{database}.{case.spec.table} holds {found}, not {case.total}")


def insert_panes_seconds(context: Context, past: int) -> tuple[list[float], list[float]]:
    """Seconds to insert the same panes into an empty metric_panes, and into one with a past.

    In turns, `context.rounds` times; the past has other organisations and days.
    """
    context.lab.start_clickhouse()
    case = _panes_case(context)
    fresh: list[float] = []
    aged: list[float] = []
    for _ in range(context.rounds):
        for rows, seconds in ((0, fresh), (past, aged)):
            _new_tables(context, case)
            client = context.lab.client()
            client.command(_PAST_SQL.format(database=ALONE), parameters={"rows": rows})
            began = time.perf_counter()
            for table in case.tables:
                client.insert_arrow(case.spec.table, table, database=ALONE)
            seconds.append(time.perf_counter() - began)
            client.close()
    return fresh, aged


_PAST_SQL = """
INSERT INTO {database}.metric_panes
    (org_id, metric, capability, model_id, model_version, ab_test_id, arm, source, pane,
     n, total, total_sq, minimum, maximum, total_nanos, sketch)
SELECT
    concat('past-', toString(number % 50)), 'latency_ms', 'chat',
    concat('model-', toString(number % 20)), '1', '', '', 'production',
    now() - toIntervalSecond(10 * intDiv(number, 50)),
    10, 1000, 100000, 50, 150, 0, map(toInt32(40100), toUInt64(10))
FROM numbers({{rows:UInt64}})
"""
