"""Every field of every stored record has its column in ClickHouse, of a type that can hold it."""

from collections.abc import Iterator
from typing import Any

import pytest

from schemas.catalog import committed
from schemas.topics import TOPICS, Topic
from sinks.clickhouse import ClickHouse
from sinks.migrate import TableOptions, apply
from sinks.tables import TABLES
from streams.partials import DIMENSIONS
from tests.support.servers import ClickHouseServer

pytestmark = pytest.mark.integration
DATABASE = "contract_columns"
COORDINATES = {"src_partition", "src_offset"}
OF_THEIR_OWN = {
    Topic.METRIC_PARTIALS,
    Topic.REGISTRY,
    Topic.REGISTRY_COMMANDS,
    Topic.EVALUATION_DATASETS,
    Topic.EVALUATION_RUNS,
}
"""Their rows are not their messages."""
ROWS = sorted(set(TABLES) - OF_THEIR_OWN)
EMPTY_FOR_NULL = {"ab_test_id", "arm"}
"""No A/B test and no arm are '' in the tables of events."""
Columns = dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def columns(clickhouse: ClickHouseServer) -> Iterator[Columns]:
    """Columns by table: name -> type."""
    server = ClickHouse(clickhouse.url)
    apply(server, TableOptions(database=DATABASE))
    found: Columns = {}
    sql = f"SELECT table, name, type FROM system.columns WHERE database = '{DATABASE}'"
    for table, name, kind in server.rows(sql):
        found.setdefault(table, {})[name] = kind
    yield found
    server.command(f"DROP DATABASE {DATABASE}")
    server.close()


@pytest.mark.parametrize("topic", ROWS)
def test_fields_have_columns(columns: Columns, topic: Topic) -> None:
    expected = set(COORDINATES)
    fields = committed().newest(str(TOPICS[topic].record)).source["fields"]
    for field in fields:
        nested = items(field["type"], fields)
        names = [f["name"] for f in nested["fields"]] if nested else []
        expected |= {f"{field['name']}.{name}" for name in names} or {field["name"]}

    assert set(columns[TABLES[topic].table]) == expected


@pytest.mark.parametrize("topic", ROWS)
def test_what_may_be_null_can_be_null_there(columns: Columns, topic: Topic) -> None:
    found = columns[TABLES[topic].table]
    events = topic in (Topic.INFERENCE_EVENTS, Topic.FEEDBACK_EVENTS, Topic.CASE_RESULTS)
    fields = committed().newest(str(TOPICS[topic].record)).source["fields"]
    for field in fields:
        nullable = isinstance(field["type"], list)
        if nullable and not (events and field["name"] in EMPTY_FOR_NULL):
            assert "Nullable" in found[field["name"]], field["name"]
        for inner in (items(field["type"], fields) or {"fields": ()})["fields"]:
            if isinstance(inner["type"], list):
                assert "Nullable" in found[f"{field['name']}.{inner['name']}"], inner["name"]


def items(avro: Any, fields: Any) -> Any:
    """The record of an array of records, None for anything else. A later use names it only."""
    if not isinstance(avro, dict) or avro["type"] != "array":
        return None
    if isinstance(avro["items"], dict):
        return avro["items"]
    arrays = (
        f["type"]["items"] for f in fields if isinstance(f["type"], dict) and "items" in f["type"]
    )
    return next((r for r in arrays if isinstance(r, dict) and r["name"] == avro["items"]), None)


@pytest.mark.parametrize(
    ("table", "time"),
    [("metric_panes", "pane"), ("metric_hours", "hour"), ("metric_days", "day")],
)
def test_metrics_have_every_dimension_and_state(columns: Columns, table: str, time: str) -> None:
    state = {"n", "total", "total_sq", "minimum", "maximum", "total_nanos", "sketch"}
    assert set(columns[table]) == {*DIMENSIONS, "metric", time} | state
    assert columns[table]["sketch"] == "SimpleAggregateFunction(sumMap, Map(Int32, UInt64))"


def test_the_tables_that_other_programs_were_told(columns: Columns) -> None:
    assert set(columns) >= {
        "inference_events",
        "feedback_events",
        "case_results",
        "metric_panes",
        "metric_hours",
        "ab_verdicts",
        "selection_updates",
        "alerts",
        "registry",
        "evaluation_runs",
    }
