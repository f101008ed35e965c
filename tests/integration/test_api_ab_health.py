"""The health of an A/B test beside its results, over the API, from the real ClickHouse."""

from typing import Any

import pytest

from api import desk
from schemas.entities import AbTest
from schemas.topics import Topic
from sinks.ab_health import Measured, measured
from sinks.clickhouse import ClickHouse
from tests.integration.test_ab_health import HOSTILE, TEST, call, traffic
from tests.integration.test_ab_units import insert
from tests.support.api import Api
from tests.support.servers import ClickHouseServer
from tests.support.tables import Tables

pytestmark = pytest.mark.integration
RESULTS = "/ab-tests/t/results/"


@pytest.fixture
def api(clickhouse: ClickHouseServer) -> Api:
    tables = Tables.new(clickhouse.url)
    events = [*traffic(3, 60), *(call(f"{HOSTILE}{arm}"[:-1], arm, 1.5) for arm in "ab")]
    insert(tables.connect(), Topic.INFERENCE_EVENTS, events, "all")
    return tables.serve(Api(TEST))


def test_results_say_whether_the_test_is_sound(api: Api) -> None:
    client = api.client("viewer")
    answer = client.get(RESULTS)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["verdict"], found["why_no_health"]) == (None, None)
    health = found["health"]
    several = health["units_in_several_arms"]
    assert (several["units"], several["crossed"]) == (63, 1)
    assert several["examples"][0]["unit_id"] == HOSTILE
    assert sorted(several["examples"][0]["arms"]) == ["a", "b"]
    assert health["split"]["calls_p_value"] is None
    assert [each["clock"] for each in health["over_time"]] == ["calendar", "exposure"]
    assert all(each["sign"] == "not_enough_data" for each in health["over_time"])
    by_metric = {each["metric"]: each for each in health["winsorised"]}
    assert by_metric["latency_ms"]["limit"] > 0
    assert by_metric["thumbs_up"]["text"] == "no values"
    bare = client.get(RESULTS, params={"health": False}).json()
    assert (bare["health"], bare["why_no_health"]) == (None, "it was not asked for")
    assert api.client("viewer", "globex").get(RESULTS).status_code == 404


def test_it_is_counted_once_for_a_while_and_does_not_fail_the_results(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[str] = []

    def counting(clickhouse: ClickHouse, test: AbTest, changed: bool | None) -> Measured | None:
        counted.append(test.ab_test_id)
        return measured(clickhouse, test, changed)

    monkeypatch.setattr("api.ab_health.measured", counting)
    client = api.client("viewer")

    def asked() -> dict[str, Any]:
        found: dict[str, Any] = client.get(RESULTS).json()
        return found

    first = asked()["health"]["as_of"]
    assert asked()["health"]["as_of"] == first
    assert len(counted) == 1
    api.forward(minutes=61)
    assert asked()["health"]["as_of"] > first
    assert len(counted) == 2

    def refuses(clickhouse: ClickHouse, test: AbTest, changed: bool | None) -> Measured | None:
        clickhouse.command("SELECT no_such_column")
        raise AssertionError("unreachable: it is refused")

    monkeypatch.setattr("api.ab_health.measured", refuses)
    api.forward(minutes=61)
    refused = asked()
    assert refused["health"] is None
    assert refused["why_no_health"].startswith("ClickHouse refuses")
    monkeypatch.setattr(desk, "WAIT_S", 0.0)
    api.forward(minutes=61)
    assert asked()["why_no_health"] == "it is being counted: ask again in a minute"
