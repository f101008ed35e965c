"""Verdicts from before they recommended anything: rows that are older than their table's columns,
and messages by the first schema, read back as verdicts of today without what was not said then."""

import io
import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any

import fastavro
import pytest
from typer.testing import CliRunner

from infra.cli import app
from infra.settings import Settings
from schemas.catalog import committed
from schemas.convert import to_record
from schemas.entities import AbTest, Arm, MetricGoal
from schemas.records import AbVerdict
from schemas.topics import Topic
from schemas.wire import HEADER
from sinks import ab_history, migrate
from sinks.clickhouse import ClickHouse
from sinks.migrate import TableOptions, apply
from sinks.reader import Reader
from tests.support.api import Api
from tests.support.registry import apply_registry
from tests.support.servers import ClickHouseServer, Kafka
from tests.support.tables import Tables
from tests.support.verdicts import BEGIN, verdict

pytestmark = pytest.mark.integration
SCHEMA_ID = 5
OLD = [replace(verdict(n), org_id="acme", srm_p_value=None) for n in (5, 900)]
OLD[1] = replace(OLD[1], status="decided", winner="gpt4", decided_at=OLD[1].as_of, decision="won")
TEST = AbTest(
    "acme",
    OLD[0].ab_test_id,
    OLD[0].capability,
    "request",
    tuple(Arm(arm.arm, arm.model_id) for arm in OLD[0].arms),
    "mixtral",
    tuple(
        MetricGoal(each.metric, each.role, each.direction)
        for each in OLD[0].comparisons
        if each.role != "secondary"
    ),
)


def message(made: AbVerdict) -> bytes:
    """By the first schema, which has no field for anything newer."""
    writer = committed().by_id(SCHEMA_ID)
    assert writer is not None
    assert (writer.record, writer.version) == ("AbVerdict", 1)
    out = io.BytesIO()
    out.write(HEADER.pack(0, SCHEMA_ID))
    fastavro.schemaless_writer(out, writer.parsed, to_record(made))
    return out.getvalue()


def row(made: AbVerdict, offset: int) -> str:
    """Its INSERT, as of the table's first migration."""
    values: dict[str, Any] = {"src_partition": 0, "src_offset": offset}
    writer = committed().by_id(SCHEMA_ID)
    assert writer is not None
    for field in writer.source["fields"]:
        name, value = field["name"], getattr(made, field["name"])
        if name in ("arms", "comparisons"):
            for inner in (f["name"] for f in field["type"]["items"]["fields"]):
                values[f"`{name}.{inner}`"] = [getattr(each, inner) for each in value]
        elif name in ("as_of", "decided_at"):
            values[name] = None if value is None else value.timestamp()
        else:
            values[name] = value
    shown = ", ".join("NULL" if v is None else _literal(v) for v in values.values())
    return f"({', '.join(values)}) VALUES ({shown})"


def _literal(value: Any) -> str:
    return repr(value).replace("None", "NULL")


@pytest.fixture(scope="module")
def older(clickhouse: ClickHouseServer) -> Tables:
    """Tables that had these rows before they had the columns of today."""
    every = list(migrate.migrations())
    options = TableOptions(database=f"older_{uuid.uuid4().hex[:8]}")
    connection = ClickHouse(clickhouse.url, options.database)
    with pytest.MonkeyPatch.context() as patch:
        first = [m for m in every if m.name < "0011"]
        patch.setattr(migrate, "migrations", lambda: iter(first))
        apply(connection, options)
    for offset, made in enumerate(OLD):
        connection.command(f"INSERT INTO {options.database}.ab_verdicts {row(made, offset)}")
    assert "0011_add_recommendations" in apply(connection, options)
    return Tables(clickhouse.url, options.database)


@pytest.fixture(scope="module")
def sunk(clickhouse: ClickHouseServer) -> Tables:
    """Tables whose sink read the old messages."""
    found = Tables.new(clickhouse.url)
    found.store(Topic.AB_VERDICTS, [message(made) for made in OLD])
    return found


@pytest.mark.parametrize("kind", ["older", "sunk"])
def test_clickhouse_and_the_api_tell_them(kind: str, request: pytest.FixtureRequest) -> None:
    tables: Tables = request.getfixturevalue(kind)
    named = (tables.connect(), "acme", TEST.ab_test_id)
    assert ab_history.newest(*named) == OLD[1]
    assert ab_history.timeline(*named, BEGIN + timedelta(days=1), 10_000) == OLD
    assert Reader(tables.connect()).latest_verdicts("acme") == [OLD[1]]
    api = tables.serve(Api())
    api.put(TEST)
    client = api.client("viewer")
    one = f"/ab-tests/{TEST.ab_test_id}"
    told = client.get(f"{one}/verdict/").json()
    assert (told["recommendation"], told["reason"], told["sources"]) == ("keep_going", "", [])
    assert (told["winner"], told["decided_by"]) == ("gpt4", None)
    assert told["comparisons"][0]["worth"] is None
    assert client.get(f"{one}/verdicts/").json()["items"][0] == told
    assert client.get(f"{one}/results/").json()["verdict"] == told
    points = client.get(f"{one}/timeline/", params={"points": 2000}).json()["points"]
    assert [point["n_arm"] for point in points] == [5, 900]


def test_the_commands_tell_them(
    kafka: Kafka,
    clickhouse: ClickHouseServer,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    apply_registry(settings, [TEST])
    topic = f"{settings.topic_prefix}{Topic.AB_VERDICTS}"
    for made in OLD:
        kafka.produce(topic, [message(made)], TEST.ab_test_id.encode())
    apply(ClickHouse(clickhouse.url), TableOptions())
    Tables(clickhouse.url, "rheostat").store(Topic.AB_VERDICTS, [message(made) for made in OLD])
    monkeypatch.setenv("RHEOSTAT_KAFKA_BOOTSTRAP", settings.kafka_bootstrap or "")
    monkeypatch.setenv("RHEOSTAT_TOPIC_PREFIX", settings.topic_prefix)
    monkeypatch.setenv("RHEOSTAT_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("RHEOSTAT_CLICKHOUSE_URL", clickhouse.url)
    monkeypatch.setenv("COLUMNS", "200")

    def said(command: str, *more: str) -> tuple[int, str]:
        found = CliRunner().invoke(app, ["ab", command, TEST.ab_test_id, *more])
        return found.exit_code, found.output

    code, results = said("results")
    assert code == 0, results
    assert "keep going" in results
    assert "900" in results
    code, timeline = said("timeline", "--points", "1000")
    assert code == 0, timeline
    assert "900" in timeline
    code, reproduced = said("reproduce")
    assert code == 1
    assert "it is from before they were kept" in reproduced
