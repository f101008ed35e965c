"""What belongs beside a verdict, from the real ClickHouse: differences by periods of an online test
whose weights changed, paired tests of an offline one; over the API and in the terminal."""

import random
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from infra import ab_commands
from infra.cli import app
from infra.settings import Settings
from schemas.entities import AbTest, Arm, MetricGoal
from schemas.records import RegistryFact
from schemas.topics import Topic
from sinks.clickhouse import ClickHouse
from sinks.migrate import TableOptions, apply
from tests.support.api import Api
from tests.support.events import case_result, encode, inference, score
from tests.support.registry import apply_registry
from tests.support.servers import ClickHouseServer
from tests.support.tables import Tables
from tests.support.verdicts import verdict

pytestmark = pytest.mark.integration
NOW_MS = int(time.time() * 1000) // 10_000 * 10_000
HOUR_MS = 3_600_000
GOALS = (
    MetricGoal("quality", "primary", "higher"),
    MetricGoal("cost_usd", "secondary", "lower"),
)


def weighed(mixtral: float, gpt4: float, **changes: Any) -> AbTest:
    arms = (Arm("mixtral", "m", mixtral), Arm("gpt4", "g", gpt4))
    test = AbTest("acme", "gpt4-for-law", "professional_law", "request", arms, "mixtral", GOALS)
    return replace(test, **changes)


HISTORY = (
    (-4.0, weighed(9, 1)),
    (-2.0, weighed(1, 9)),
    (-1.0, weighed(1, 9, status="paused")),
)
"""(hours from now, the test from then on)"""


def calls(hour: float, sizes: dict[str, int], quality: float) -> list[dict[str, Any]]:
    """gpt4 is better by 0.05 and dearer by 0.01 at any time."""
    rng = random.Random(hour)
    begin_ms = NOW_MS + int(hour * HOUR_MS) + 120_000
    return [
        inference(
            ab_test_id="gpt4-for-law",
            arm=arm,
            capability="professional_law",
            occurred_at=begin_ms + i * 1000,
            quality=rng.gauss(quality + 0.05 * (arm == "gpt4"), 0.04),
            cost_usd=rng.choice((0.001, 0.003)) + 0.01 * (arm == "gpt4"),
        )
        for arm, size in sizes.items()
        for i in range(size)
    ]


@pytest.fixture(scope="module")
def tables(clickhouse: ClickHouseServer) -> Tables:
    """A test whose traffic moved to gpt4 just when questions became harder."""
    found = Tables.new(clickhouse.url)
    for number, (hour, test) in enumerate(HISTORY, 1):
        since = datetime.fromtimestamp(NOW_MS / 1000 + hour * 3600, UTC)
        fact = RegistryFact(number, "me", since, f"c{number}", test)
        found.publish(Topic.REGISTRY, fact, first_offset=number, key=test.key)
    found.count(calls(-4, {"mixtral": 900, "gpt4": 150}, 0.8))
    found.count(calls(-2, {"mixtral": 150, "gpt4": 900}, 0.5))
    found.count(calls(-1, {"mixtral": 300, "gpt4": 300}, 0.3))
    found.publish(Topic.AB_VERDICTS, replace(verdict(1050), org_id="acme"))
    return found


def test_the_api_shows_differences_by_periods_and_says_what_to_trust(tables: Tables) -> None:
    api = tables.serve(Api())
    api.put(HISTORY[-1][1])
    found = api.client("viewer").get("/ab-tests/gpt4-for-law/results/").json()
    assert found["verdict"]["arms"][0]["events"] == 1050
    periods = found["periods"]
    assert periods["changes"] == 1
    assert "trust the differences by periods" in periods["advice"]
    quality, cost = periods["estimates"]
    assert (quality["metric"], quality["strata"], quality["verdict"]) == ("quality", 2, "better")
    assert quality["plain"] < -0.1
    assert quality["difference"] == pytest.approx(0.05, abs=0.01)
    assert cost["difference"] == pytest.approx(0.01, abs=0.0005)
    assert cost["verdict"] == "worse"
    assert found["paired"] == []


def test_weights_that_did_not_change_or_whose_history_is_lost_have_no_periods(
    clickhouse: ClickHouseServer,
) -> None:
    bare = Tables.new(clickhouse.url)
    bare.publish(Topic.AB_VERDICTS, replace(verdict(1050), org_id="acme"))
    api = bare.serve(Api())
    api.put(HISTORY[0][1])
    one = "/ab-tests/gpt4-for-law/results/"
    assert api.client("viewer").get(one).json()["periods"] is None
    fact = RegistryFact(1, "me", datetime.now(UTC), "c", HISTORY[0][1])
    bare.publish(Topic.REGISTRY, fact, key=HISTORY[0][1].key)
    assert api.client("viewer").get(one).json()["periods"] is None


def test_the_terminal_shows_the_paired_tests_of_an_offline_test(
    clickhouse: ClickHouseServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    test = weighed(1, 1, ab_test_id=f"offline-{settings.topic_prefix}", mode="offline")
    test = replace(test, suite_id="law", metrics=GOALS[:1], status="draft")
    apply_registry(settings, [test])
    for name, value in (
        ("KAFKA_BOOTSTRAP", settings.kafka_bootstrap or ""),
        ("TOPIC_PREFIX", settings.topic_prefix),
        ("DATA_DIR", str(settings.data_dir)),
        ("CLICKHOUSE_URL", clickhouse.url),
    ):
        monkeypatch.setenv(f"RHEOSTAT_{name}", value)
    monkeypatch.setattr(ab_commands, "console", Console(width=250))

    def said(command: str) -> str:
        found = CliRunner().invoke(app, ["ab", command, test.ab_test_id])
        return f"{found.output}{found.exception or ''}"

    apply(ClickHouse(clickhouse.url), TableOptions())
    assert "No verdict yet: No case is finished" in said("results")
    rng = random.Random(1)
    results = [
        case_result(
            case_id=f"c{i}",
            ab_test_id=test.ab_test_id,
            arm=arm,
            occurred_at=NOW_MS,
            score=0.5 + 0.004 * (i % 100) + 0.05 * (arm == "gpt4") + rng.gauss(0, 0.02),
            scores=[score()],
        )
        for arm in ("mixtral", "gpt4")
        for i in range(150)
    ]
    Tables(clickhouse.url, "rheostat").store(Topic.CASE_RESULTS, encode("CaseResult", results))
    found = said("results")
    assert "ship" in found
    assert "by cases that both arms answered" in found
    assert "Wilcoxon p" in found
    assert "paired t over 150 cases" in found
    assert "gpt4" in said("plan")
    assert "is an offline test" in said("reproduce")
