"""The registry's history and audit in ClickHouse, and what models were measured to do."""

import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from agents.access.keys import KeyWish, new_key
from agents.errors import CommandRefused, RegistryConflict
from agents.registry.client import RegistryClient, Sender
from infra.settings import Settings
from infra.workers import kafka_config
from schemas.catalog import committed
from schemas.entities import Model
from schemas.topics import Topic
from schemas.wire import Codec
from sinks import audit
from sinks.audit import AuditFilter
from sinks.clickhouse import ClickHouse
from sinks.measured import MeasuredQuestion, measured
from sinks.migrate import TableOptions, apply
from sinks.writer import SinkConfig, Writer
from streams.telemetry import Health
from tests.support.commands import change
from tests.support.registry import registry_agent
from tests.support.servers import ClickHouseServer, wait_until

pytestmark = pytest.mark.integration
CODEC = Codec(committed())
MODEL = Model("acme", "small", "1", "us", ("chat",))
ANN = Sender("ann")


@pytest.fixture
def tables(clickhouse: ClickHouseServer) -> Iterator[ClickHouse]:
    name = f"audit_{uuid.uuid4().hex[:8]}"
    found = ClickHouse(clickhouse.url, name)
    apply(found, TableOptions(database=name))
    yield found
    found.command(f"DROP DATABASE {name}")
    found.close()


def test_every_fact_and_every_refusal_is_kept_with_its_author(
    settings: Settings, clickhouse: ClickHouseServer, tables: ClickHouse
) -> None:
    kafka = kafka_config(settings)
    key = new_key(KeyWish("acme", "viewer"), datetime.now(UTC)).entity
    with registry_agent(settings) as view, RegistryClient(kafka, CODEC, view) as registry:
        registry.submit([change("create", MODEL), change("create", key)], ANN, "first")
        with pytest.raises(RegistryConflict):
            registry.submit([change("update", MODEL, 7)], Sender("bob"))
        with pytest.raises(CommandRefused):
            registry.submit([change("update", replace(MODEL, provider="them"))], Sender("bob"))
        registry.submit([change("delete", MODEL, 1)], ANN)
    sink = Writer(
        SinkConfig(
            kafka,
            kafka.group("sinks"),
            "sink",
            7 * 86_400_000,
            (Topic.REGISTRY, Topic.REGISTRY_COMMANDS),
        ),
        committed(),
        ClickHouse(clickhouse.url, tables.database),
        Health(),
    )
    stop = threading.Event()
    thread = threading.Thread(target=sink.run, args=(stop,))
    thread.start()
    try:
        counted = f"SELECT count() FROM {tables.database}.registry_commands"
        wait_until(lambda: tables.rows(counted)[0][0] == 5)
        facts = f"SELECT count() FROM {tables.database}.registry"
        wait_until(lambda: tables.rows(facts)[0][0] == 3)
    finally:
        stop.set()
        thread.join(60)

    deleted, created = audit.history(tables, "acme", MODEL.key)
    assert (deleted.version, deleted.deleted, created.version, created.deleted) == (
        2,
        True,
        1,
        False,
    )
    assert (created.author, created.command_id) == ("ann", "first")
    assert created.accepted_at is not None
    assert created.entity is not None
    assert created.entity["provider"] == "us"
    assert deleted.entity is not None
    assert audit.history(tables, "acme", MODEL.key, before=deleted.offset) == [created]
    assert audit.history(tables, "globex", MODEL.key) == []
    [stored] = audit.history(tables, "acme", key.key)
    assert stored.entity is not None
    assert "secret_sha256" not in stored.entity

    everything = audit.commands(tables, "acme", AuditFilter())
    assert [(c.status, c.action, c.author, c.version) for c in everything] == [
        ("accepted", "delete", "ann", 2),
        ("refused", "update", "bob", None),
        ("conflict", "update", "bob", None),
        ("accepted", "create", "ann", 1),
        ("accepted", "create", "ann", 1),
    ]
    [problem] = everything[2].problems
    assert (problem.current_version, everything[2].expected_version) == (1, 7)
    assert everything[1].problems[0].field == "provider"
    paged, place = [], None
    while page := audit.commands(tables, "acme", AuditFilter(), before=place, limit=2):
        paged += page
        place = (page[-1].offset, page[-1].change)
    assert paged == everything
    for wanted, count in (
        (AuditFilter(author="bob"), 2),
        (AuditFilter(status="conflict"), 1),
        (AuditFilter(kind="api_key"), 1),
        (AuditFilter(key=MODEL.key), 4),
        (AuditFilter(until=datetime.now(UTC) - timedelta(hours=1)), 0),
        (AuditFilter(since=datetime.now(UTC) - timedelta(hours=1)), 5),
    ):
        assert len(audit.commands(tables, "acme", wanted)) == count, wanted
    assert audit.commands(tables, "globex", AuditFilter()) == []


def test_what_was_measured_stands_by_capability_and_source(tables: ClickHouse) -> None:
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    rows = [
        # ..., source, age in hours, n, total, total_sq, minimum, maximum, total_nanos
        ("acme", "quality", "chat", "small", "1", "production", 1, 2, 1.5, 1.25, 0.5, 1.0, 0),
        ("acme", "quality", "chat", "small", "1", "production", 2, 2, 1.5, 1.25, 0.5, 1.0, 0),
        (
            "acme",
            "cost_usd",
            "chat",
            "small",
            "1",
            "production",
            1,
            2,
            0.3,
            0.05,
            0.1,
            0.2,
            3 * 10**8,
        ),
        ("acme", "quality", "chat", "small", "1", "evaluation", 1, 1, 0.9, 0.81, 0.9, 0.9, 0),
        ("acme", "quality", "code", "small", "2", "production", 80, 4, 2.0, 1.0, 0.5, 0.5, 0),
        ("globex", "quality", "chat", "small", "1", "production", 1, 9, 9.0, 9.0, 1.0, 1.0, 0),
    ]
    for org, metric, cap, model, version, source, hours, n, total, sq, low, high, nanos in rows:
        at = now - timedelta(hours=hours)
        tables.command(
            f"INSERT INTO {tables.database}.metric_panes VALUES ('{org}', '{metric}', '{cap}', "
            f"'{model}', '{version}', '', '', '{source}', {int(at.timestamp())}, {n}, {total}, "
            f"{sq}, {low}, {high}, {nanos}, map())"
        )
    recent = MeasuredQuestion("acme", now - timedelta(hours=23), now)
    evaluated, produced = measured(tables, recent)
    assert (produced.model_id, produced.capability, produced.source) == (
        "small",
        "chat",
        "production",
    )
    assert produced.latest == now - timedelta(hours=1)
    cost, quality = produced.metrics
    assert (cost.metric, cost.n, quality.n) == ("cost_usd", 2, 4)
    assert cost.mean == pytest.approx(0.15, abs=1e-12)
    assert quality.mean == pytest.approx(0.75)
    assert quality.deviation == pytest.approx((4 * 0.0625 / 3) ** 0.5)
    assert (quality.p50, quality.p95) == (None, None)
    [single] = evaluated.metrics
    assert (single.n, single.deviation) == (1, None)
    month = replace(recent, since=now - timedelta(days=30))
    assert [(m.capability, m.source) for m in measured(tables, month)] == [
        ("chat", "evaluation"),
        ("chat", "production"),
        ("code", "production"),
    ]
    assert [m.model_version for m in measured(tables, replace(month, model_version="2"))] == ["2"]
    assert measured(tables, replace(month, model_id="large")) == []
