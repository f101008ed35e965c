"""`rheostat ab results` with a real ClickHouse, and without one."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr
from rich.console import Console
from typer.testing import CliRunner

from infra import ab, ab_commands, cli
from infra.ab import Known
from infra.settings import Settings
from schemas.records import RegistryFact
from schemas.topics import Topic
from sinks.clickhouse import ClickHouse
from sinks.migrate import TableOptions, apply
from streams.statistics.estimates import NoEstimate
from tests.integration.test_ab_health import TEST, call, traffic
from tests.integration.test_ab_units import insert
from tests.support.servers import ClickHouseServer, free_port

pytestmark = pytest.mark.integration


def test_results_end_with_the_health_of_the_test(
    clickhouse: ClickHouseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the default database, as the command has it; so it is of an organisation of its own."""
    test = replace(TEST, org_id=f"org-{uuid.uuid4().hex}")
    found = Known(RegistryFact(1, "me", datetime.now(UTC), "c", test), test, None)
    connected = ClickHouse(clickhouse.url)
    apply(connected, TableOptions())
    events = [*traffic(4, 40), *(call("odd\x1b[2J", arm, 2) for arm in "ab")]
    mine = [event | {"org_id": test.org_id} for event in events]
    insert(connected, Topic.INFERENCE_EVENTS, mine, test.org_id)
    monkeypatch.setenv("RHEOSTAT_CLICKHOUSE_URL", clickhouse.url)
    monkeypatch.setattr(ab_commands, "console", Console(width=200))
    monkeypatch.setattr(ab, "known", lambda *_: found)
    shown = CliRunner().invoke(cli.app, ["ab", "results", test.ab_test_id])
    assert shown.exit_code == 0, shown.output
    assert "No verdict yet: No call was judged." in shown.output
    assert "units: 1 of 43 units (2.33%) were in several arms" in shown.output
    assert "odd\\x1b[2J: " in shown.output
    assert "quality, b: over the time of the test: not enough data: " in shown.output
    assert "latency_ms" in shown.output
    bare = CliRunner().invoke(cli.app, ["ab", "results", test.ab_test_id, "--no-health"])
    assert "units" not in bare.output


def test_without_clickhouse_it_says_so() -> None:
    away = Settings(clickhouse_url=SecretStr(f"http://127.0.0.1:{free_port()}"))
    found = Known(RegistryFact(1, "me", datetime.now(UTC), "c", TEST), TEST, None)
    said = ab.health(away, found)
    assert isinstance(said, NoEstimate)
    assert said.reason.startswith("ClickHouse does not answer")
