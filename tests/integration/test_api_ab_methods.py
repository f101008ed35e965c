"""Other methods of an A/B test, over the API and in a terminal, from the real ClickHouse."""

import json
import random
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from scipy import stats
from typer.testing import CliRunner

from infra import ab, ab_commands, cli
from infra.ab import Known
from infra.errors import OperatorError
from schemas.entities import AbTest, Arm, MetricGoal
from schemas.records import RegistryFact
from schemas.topics import Topic
from sinks.clickhouse import ClickHouse
from sinks.migrate import TableOptions, apply
from tests.integration.test_ab_units import Event
from tests.support.api import Api
from tests.support.events import NOW_MS, inference
from tests.support.servers import ClickHouseServer
from tests.support.tables import Tables
from tests.support.verdicts import verdict

pytestmark = pytest.mark.integration
METHODS = "/ab-tests/t/methods/"
TEST = AbTest(
    "acme",
    "t",
    "chat",
    "user",
    (Arm("a", "small"), Arm("b", "large")),
    "a",
    (
        MetricGoal("quality", "primary", "higher", margin=0.1),
        MetricGoal("latency_ms", "guardrail", "lower", margin=100.0),
        MetricGoal("error", "guardrail", "lower", margin=0.05),
        MetricGoal("thumbs_up", "secondary", "higher"),
    ),
    planned_n=1000,
)


def traffic(n: int, **more: Any) -> list[Event]:
    rng = random.Random(n)
    found = []
    for i in range(n):
        arm = "ab"[i % 2]
        given = {
            "occurred_at": NOW_MS - i * 1000,
            "capability": "chat",
            "ab_test_id": "t",
            "arm": arm,
            "unit_id": f"u{i}",
            "latency_ms": rng.lognormvariate(5 if arm == "a" else 5.3, 0.5),
            "quality": rng.uniform(0.2, 0.9),
            "error_type": "timeout" if i % 40 == 1 or i % 60 == 0 else None,
        }
        found.append(inference(event_id=f"{n} {i}", **{**given, **more}))
    return found


@pytest.fixture
def tables(clickhouse: ClickHouseServer) -> Tables:
    return Tables.new(clickhouse.url)


def by_key(rows: list[dict[str, Any]]) -> dict[tuple[Any, ...], dict[str, Any]]:
    keys = ("metric", "arm", "baseline", "method", "quantity", "when")
    found = {tuple(row[key] for key in keys): row for row in rows}
    assert len(found) == len(rows)
    return found


def test_the_answer_is_that_of_the_stored_calls(tables: Tables) -> None:
    events = traffic(1200)
    tables.count(events)
    # Of other organisations and tests: not its calls.
    tables.count([*traffic(60, org_id="globex"), *traffic(60, ab_test_id="other")])
    client = tables.serve(Api(TEST)).client("viewer")
    answer = client.get(METHODS)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["why_none"] is None
    assert any("all stored calls of the test count" in text for text in found["warnings"])
    assert any("decide nothing" in text for text in found["cautions"])
    rows = by_key(found["rows"])
    ones = {
        arm: sum(e["arm"] == arm and e["error_type"] is not None for e in events) for arm in "ab"
    }
    fisher = rows["error", "b", "a", "fisher_exact", "difference", "once"]
    table = np.array([[ones[arm], 600 - ones[arm]] for arm in "ba"])
    assert fisher["p_value"] == pytest.approx(stats.fisher_exact(table).pvalue, rel=1e-9)
    latency = {arm: [e["latency_ms"] for e in events if e["arm"] == arm] for arm in "ab"}
    tested = rows["latency_ms", "b", "a", "mann_whitney", "probability", "once"]
    exact = stats.mannwhitneyu(latency["b"], latency["a"])
    assert tested["value"] == pytest.approx(exact.statistic / 600 / 600, abs=0.005)
    every = rows["error", None, None, "chi_square", "rate", "once"]
    assert every["p_value"] == pytest.approx(stats.chi2_contingency(table, False).pvalue, rel=1e-9)
    student = rows["latency_ms", "b", "a", "student", "difference", "once"]
    wanted = stats.ttest_ind(latency["b"], latency["a"])
    assert student["p_value"] == pytest.approx(wanted.pvalue, rel=1e-6)
    once = rows["latency_ms", "b", None, "quantile", "p95", "once"]
    assert once["lower"] < sorted(latency["b"])[570] < once["upper"]
    tail = rows["latency_ms", "b", None, "quantile", "p95", "at every look"]
    assert tail["lower"] < sorted(latency["b"])[570] < tail["upper"]
    gap = rows["latency_ms", "b", "a", "quantile", "p95", "at every look"]
    assert gap["lower"] < sorted(latency["b"])[570] - sorted(latency["a"])[570] < gap["upper"]
    assert (gap["corrected_for"], gap["level"]) == (2, 0.975)
    assert rows["thumbs_up", "b", "a", "relative", "percent", "at every look"]["note"] == (
        "arm: no values; baseline: no values"
    )
    only = client.get(METHODS, params={"metric": "error"}).json()
    assert {row["metric"] for row in only["rows"]} == {"error"}
    wrong = client.get(METHODS, params={"metric": "eror"})
    assert wrong.status_code == 422
    assert "it compares quality, latency_ms" in wrong.text


def test_only_calls_count_from_when_the_test_ran(tables: Tables) -> None:
    history = ((-4, TEST), (-2, replace(TEST, status="paused")))
    for number, (hours, version) in enumerate(history, 1):
        since = datetime.fromtimestamp(NOW_MS / 1000 + hours * 3600, UTC)
        fact = RegistryFact(number, "me", since, f"c{number}", version)
        tables.publish(Topic.REGISTRY, fact, first_offset=number, key=TEST.key)
    for hours, n in ((-5, 7), (-3, 400), (-1, 50)):
        before_ms = -hours * 3_600_000
        events = [e | {"occurred_at": e["occurred_at"] - before_ms} for e in traffic(n)]
        tables.count([e | {"event_id": f"{hours} {e['event_id']}"} for e in events])
    found = tables.serve(Api(TEST)).client("viewer").get(METHODS).json()
    (warning,) = found["warnings"]
    assert warning.startswith("57 of 457 stored calls of the test are not counted: they are from")
    _counts_from_the_first_call_of_the_verdict(tables)
    rows = by_key(found["rows"])
    row = rows["latency_ms", "b", "a", "superiority", "probability", "at every look"]
    assert (row["n_arm"], row["n_baseline"]) == (200, 200)
    assert row["p_value"] is not None


def _counts_from_the_first_call_of_the_verdict(tables: Tables) -> None:
    """The monitor counted the 7 calls of an hour before the registration, as they came late."""
    began = datetime.fromtimestamp(NOW_MS / 1000 - 5.5 * 3600, UTC)
    plain = replace(verdict(10), org_id="acme", ab_test_id="t")
    for offset, started_at in enumerate((None, began, began + timedelta(hours=3))):
        tables.publish(
            Topic.AB_VERDICTS, replace(plain, started_at=started_at), first_offset=offset
        )
    found = tables.serve(Api(TEST)).client("viewer").get(METHODS).json()
    (warning,) = found["warnings"]
    assert warning.startswith("50 of 457 stored calls of the test are not counted: they are from")
    row = by_key(found["rows"])[
        "latency_ms", "b", "a", "superiority", "probability", "at every look"
    ]
    assert row["n_arm"] + row["n_baseline"] == 407


def test_it_is_of_the_callers_organisation_and_says_why_there_is_nothing(tables: Tables) -> None:
    api = tables.serve(Api(TEST, replace(TEST, ab_test_id="cases", mode="offline")))
    assert api.client("viewer", "globex").get(METHODS).status_code == 404
    client = api.client("viewer")
    assert client.get("/ab-tests/none/methods/").status_code == 404
    offline = client.get("/ab-tests/cases/methods/").json()
    assert offline["rows"] == []
    assert offline["why_none"].startswith("an offline test compares the same cases")
    empty = client.get(METHODS).json()
    assert {row["value"] for row in empty["rows"]} == {None}
    assert all(row["note"] for row in empty["rows"])


def test_a_terminal_shows_every_row_in_80_columns(
    clickhouse: ClickHouseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the default database, as the command has it; so it is of an organisation of its own."""
    test = replace(TEST, org_id=f"org-{uuid.uuid4().hex}")
    found = Known(RegistryFact(1, "me", datetime.now(UTC), "c", test), test, None)
    connected = ClickHouse(clickhouse.url)
    apply(connected, TableOptions())
    Tables(clickhouse.url, connected.database).count(traffic(1200, org_id=test.org_id))
    monkeypatch.setenv("RHEOSTAT_CLICKHOUSE_URL", clickhouse.url)
    monkeypatch.setattr(ab_commands, "console", Console(width=80))
    monkeypatch.setattr(ab, "known", lambda *_: found)
    shown = CliRunner().invoke(cli.app, ["ab", "methods", "t"])
    assert shown.exit_code == 0, shown.output
    assert max(map(len, shown.output.splitlines())) <= 80
    assert "…" not in shown.output
    assert "latency_ms, b against a" in shown.output
    assert "error, all arms together" in shown.output
    assert "Student's t, difference" in shown.output
    asked = CliRunner().invoke(cli.app, ["ab", "methods", "t", "--metric", "error", "--json"])
    rows = json.loads(asked.stdout)["rows"]
    assert {row["metric"] for row in rows} == {"error"}
    wrong = CliRunner().invoke(cli.app, ["ab", "methods", "t", "--metric", "eror"])
    assert isinstance(wrong.exception, OperatorError)
    assert "t does not compare eror; it compares quality," in str(wrong.exception)
