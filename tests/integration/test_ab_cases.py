"""Cases of an offline A/B test out of ClickHouse: one value a case and arm."""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from schemas.catalog import committed
from schemas.topics import Topic
from sinks.ab_cases import case_values
from sinks.clickhouse import ClickHouse
from sinks.migrate import TableOptions, apply
from sinks.rows import Messages
from sinks.tables import TABLES
from tests.support.events import WEEK_MS, batch, case_result, encode, score
from tests.support.servers import ClickHouseServer

pytestmark = pytest.mark.integration
DATABASE = "cases"
TODAY_MS = int(time.time() * 1000)


@pytest.fixture
def server(clickhouse: ClickHouseServer) -> Iterator[ClickHouse]:
    found = ClickHouse(clickhouse.url, DATABASE)
    apply(found, TableOptions(database=DATABASE))
    yield found
    found.command(f"DROP DATABASE {DATABASE}")
    found.close()


def case(case_id: str, arm: str | None, epoch: int = 0, **changes: Any) -> dict[str, Any]:
    named = {"ab_test_id": "t" if arm else None, "arm": arm, "occurred_at": TODAY_MS}
    return case_result(case_id=case_id, epoch=epoch, **{**named, **changes})


def _insert(server: ClickHouse, events: list[dict[str, Any]]) -> None:
    raw = replace(batch(encode("CaseResult", events)), oldest_ms=TODAY_MS, newest_ms=TODAY_MS)
    spec = TABLES[Topic.CASE_RESULTS]
    offsets = list(range(len(events)))
    messages = Messages(
        raw, 0, offsets, [None] * len(events), committed(), 100 * WEEK_MS, lambda *_: None
    )
    server.insert(spec.table, spec.rows(messages), "one")


def test_epochs_of_a_case_are_one_value_and_what_is_missing_is_left_out(
    server: ClickHouse,
) -> None:
    events = [
        case("c1", "a", 0, scores=[score(metric="tone", value=0.2)], latency_ms=100.0),
        case("c1", "a", 1, scores=[score(metric="tone", value=0.4)], latency_ms=300.0),
        case("c2", "a", scores=[score(metric="other", value=0.9)], error_type="timeout"),
        case("c1", "b", scores=[score(metric="tone", value=0.6)], passed=True, score=0.75),
        case("c4", "a", error_type="cancelled", passed=None, scores=[], latency_ms=None),
        case("c3", None, scores=[score(metric="tone", value=0.6)]),
        case("c1", "a", org_id="rival", scores=[score(metric="tone", value=0.9)]),
    ]
    _insert(server, events)
    tone = case_values(server, "acme", "t", "tone")
    assert {arm: dict(found) for arm, found in tone.items()} == {
        "a": {"c1": pytest.approx(0.3)},
        "b": {"c1": pytest.approx(0.6)},
    }
    assert case_values(server, "acme", "t", "latency_ms")["a"]["c1"] == pytest.approx(200)
    errors = case_values(server, "acme", "t", "error")
    assert errors["a"] == {"c1": 0, "c2": 1}, "a cancelled case is no error of the model"
    assert case_values(server, "acme", "t", "quality")["b"]["c1"] == pytest.approx(0.75)
    assert case_values(server, "acme", "none", "tone") == {}


def test_the_newest_result_of_a_case_counts_and_runs_can_be_told_apart(server: ClickHouse) -> None:
    events = [
        case("c1", "a", run_id="r1", error_type="timeout", score=None, passed=None),
        case("c1", "a", run_id="r1", score=0.8, occurred_at=TODAY_MS + 1000),
        case("c1", "a", run_id="r2", score=0.2),
    ]
    _insert(server, events)
    assert case_values(server, "acme", "t", "error", "r1")["a"] == {"c1": 0}
    assert case_values(server, "acme", "t", "quality", "r1")["a"]["c1"] == pytest.approx(0.8)
    assert case_values(server, "acme", "t", "quality")["a"]["c1"] == pytest.approx(0.5)
