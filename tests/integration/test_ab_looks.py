"""The planned looks of a test, over the API and in a terminal, from stored verdicts."""

import json
import random
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console
from scipy import stats
from typer.testing import CliRunner

from agents.policy.trial import Trial, add
from agents.policy.verdicts import judge
from infra import ab, ab_commands, cli
from infra.ab import Known
from schemas.entities import AbTest, Arm, MetricGoal, Spending
from schemas.records import AbVerdict, RegistryFact
from schemas.topics import Topic
from sinks.clickhouse import ClickHouse
from sinks.migrate import TableOptions, apply
from streams.statistics import spending
from tests.support.api import Api
from tests.support.servers import ClickHouseServer
from tests.support.tables import Tables
from tests.support.trials import rows

pytestmark = pytest.mark.integration
METHODS = "/ab-tests/t/methods/"
BEGIN = datetime(2026, 6, 1, tzinfo=UTC)
TEST = AbTest(
    "acme",
    "t",
    "chat",
    "user",
    (Arm("a", "small"), Arm("b", "large")),
    "a",
    (MetricGoal("quality", "primary", "higher"), MetricGoal("error", "guardrail", "lower")),
    planned_n=1000,
    spending=Spending("pocock", 4),
)
STEPS = (100, 240, 260, 400, 499, 510, 700)
"""Values an arm has when a verdict is made: looks are due at 250, 500, 750 and 1000."""
GAPS = (0.0, 0.0, 0.0, 0.9, 0.0, 0.3, 0.3)
"""By which b was better in all calls that had come by then."""


def values(arm: str, n: int, gap: float) -> list[float]:
    rng = random.Random(arm)
    return [rng.gauss(0.5 + (gap if arm == "b" else 0.0), 1.0) for _ in range(n)]


def verdicts(test: AbTest) -> list[AbVerdict]:
    """What each was at its instant; what came between looks is far from what came at them."""
    made = []
    for n, gap in zip(STEPS, GAPS, strict=True):
        calls = [
            {"arm": arm, "metric": metric, "values": given}
            for arm in "ab"
            for metric, given in (("quality", values(arm, n, gap)), ("error", [0.0] * n))
        ]
        made.append(judge(add(Trial(), test, rows(calls)), test, BEGIN + timedelta(seconds=n))[1])
    return made


def published(tables: Tables, test: AbTest, found: Sequence[AbVerdict]) -> None:
    # Not in the order of time, as partitions of several writers come.
    for offset, each in reversed(list(enumerate(found))):
        tables.publish(Topic.AB_VERDICTS, each, first_offset=offset, key=test.ab_test_id)


def test_a_look_is_the_first_verdict_that_reached_it(clickhouse: ClickHouseServer) -> None:
    tables, found = Tables.new(clickhouse.url), verdicts(TEST)
    published(tables, TEST, found)
    # Of another organisation: not its verdicts.
    published(tables, TEST, [replace(found[0], org_id="globex", as_of=BEGIN)])
    client = tables.serve(Api(TEST)).client("viewer")
    answer = client.get(METHODS, params={"metric": "quality"})
    assert answer.status_code == 200, answer.text
    looks: list[dict[str, Any]] = answer.json()["group_sequential"]
    assert [look["n_arm"] for look in looks] == [260, 510, None, None]
    assert [look["fraction"] for look in looks] == [0.26, 0.51, 0.75, 1.0]
    bounds = spending.bounds([0.26, 0.51, 0.75, 1.0], 0.05, "pocock")
    assert [look["bound"] for look in looks] == pytest.approx(bounds)
    for look, n, gap in zip(looks, (260, 510), (0.0, 0.3), strict=False):
        wanted = stats.ttest_ind(values("b", n, gap), values("a", n, gap), equal_var=False)
        assert look["p_value"] == pytest.approx(wanted.pvalue, rel=1e-9)
        assert look["as_of"] == f"{BEGIN + timedelta(seconds=n):%Y-%m-%dT%H:%M:%SZ}"
    # The verdict between looks, at 400 values, would have crossed.
    assert found[3].comparisons[0].fixed_p_value is not None
    assert found[3].comparisons[0].fixed_p_value < looks[0]["p_needed"]
    assert [look["crossed"] for look in looks] == [False, True, None, None]
    assert [look["note"] for look in looks] == [None, None, "not reached", "not reached"]
    both = client.get(METHODS).json()["group_sequential"]
    assert [look["metric"] for look in both] == ["quality"] * 4 + ["error"] * 4
    assert all(look["note"] for look in both[4:]), "no failures: no spread to judge by"
    assert {look["crossed"] for look in both[4:]} == {None}


def test_a_test_without_planned_looks_has_none(clickhouse: ClickHouseServer) -> None:
    tables, test = Tables.new(clickhouse.url), replace(TEST, spending=None)
    published(tables, test, verdicts(test))
    answer = tables.serve(Api(test)).client("viewer").get(METHODS).json()
    assert answer["group_sequential"] == []
    assert answer["rows"]


def test_no_verdict_depends_on_planned_looks() -> None:
    assert verdicts(TEST) == verdicts(replace(TEST, spending=None))


def test_a_terminal_shows_them_in_80_columns(
    clickhouse: ClickHouseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the default database, as the command has it; so it is of an organisation of its own."""
    test = replace(TEST, org_id=f"org-{uuid.uuid4().hex}")
    connected = ClickHouse(clickhouse.url)
    apply(connected, TableOptions())
    published(Tables(clickhouse.url, connected.database), test, verdicts(test))
    monkeypatch.setenv("RHEOSTAT_CLICKHOUSE_URL", clickhouse.url)
    monkeypatch.setattr(ab_commands, "console", Console(width=80))
    fact = RegistryFact(1, "me", datetime.now(UTC), "c", test)
    monkeypatch.setattr(ab, "known", lambda *_: Known(fact, test, None))
    shown = CliRunner().invoke(cli.app, ["ab", "methods", "t"])
    assert shown.exit_code == 0, shown.output
    assert max(map(len, shown.output.splitlines())) <= 80
    assert "…" not in shown.output
    assert "quality, b against a: 4 planned looks" in shown.output
    assert "crossed first at look 2, 2026-06-01 00:08:30 UTC" in shown.output
    assert "not crossed at any of the 0 looks so far" in shown.output
    asked = CliRunner().invoke(cli.app, ["ab", "methods", "t", "--metric", "quality", "--json"])
    assert [each["crossed"] for each in json.loads(asked.stdout)["group_sequential"]] == [
        False,
        True,
        None,
        None,
    ]
