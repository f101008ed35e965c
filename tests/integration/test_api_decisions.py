"""Verdicts and alerts over the API, as they were stored."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter

from api.record_examples import EXAMPLES
from schemas.records import AbVerdict, Alert
from schemas.topics import Topic
from tests.support.api import Api
from tests.support.servers import ClickHouseServer, free_port
from tests.support.tables import Tables
from tests.support.verdicts import BEGIN, verdict

pytestmark = pytest.mark.integration
TEST = "gpt4-for-law"
PATHS = ("/verdicts/", f"/ab-tests/{TEST}/verdict/", f"/ab-tests/{TEST}/verdicts/", "/alerts/")


def alert(number: int, org_id: str = "acme", **more: Any) -> Alert:
    at = BEGIN + timedelta(seconds=number)
    kept = Alert(f"a-{number}", org_id, at, "latency", "warning", "slow", "chat", "small")
    return replace(kept, **more)


@pytest.fixture(scope="module")
def api(clickhouse: ClickHouseServer) -> Api:
    tables = Tables.new(clickhouse.url)
    mine = [replace(verdict(n), org_id="acme") for n in (5, 100, 900)]
    theirs = [verdict(7, "decided", "gpt4")]
    tables.publish(Topic.AB_VERDICTS, *mine, *theirs)
    raised = [alert(1), alert(2, severity="critical"), alert(3, kind="srm"), alert(9, "demo")]
    tables.publish(Topic.ALERTS, *raised, alert(2, severity="critical"))
    return tables.serve(Api())


def test_the_newest_verdict_and_all_of_them(api: Api) -> None:
    client = api.client("viewer")
    newest = client.get(f"/ab-tests/{TEST}/verdict/").json()
    assert newest["arms"][0]["events"] == 900
    assert newest["comparisons"][0]["anytime_lower"] is not None
    (item,) = client.get("/verdicts/").json()["items"]
    assert item == newest
    page = client.get(f"/ab-tests/{TEST}/verdicts/?limit=2").json()
    assert [v["arms"][0]["events"] for v in page["items"]] == [900, 100]
    rest = client.get(f"/ab-tests/{TEST}/verdicts/?limit=2&cursor={page['next_cursor']}").json()
    assert [v["arms"][0]["events"] for v in rest["items"]] == [5]
    assert rest["next_cursor"] is None
    assert rest["items"][0]["comparisons"][0]["anytime_lower"] is None, "no estimate is null"


def test_every_field_of_a_verdict_comes_back(clickhouse: ClickHouseServer) -> None:
    example = EXAMPLES["AbVerdict"]
    tables = Tables.new(clickhouse.url)
    tables.publish(Topic.AB_VERDICTS, TypeAdapter(AbVerdict).validate_python(example))
    client = tables.serve(Api()).client("viewer")
    one = f"/ab-tests/{example['ab_test_id']}"
    assert client.get(f"{one}/verdict/").json() == example
    assert client.get(f"{one}/verdicts/").json()["items"] == [example]
    assert client.get("/verdicts/").json()["items"] == [example]


def test_alerts_are_filtered_and_told_once(api: Api) -> None:
    client = api.client("viewer")

    def told(query: str = "") -> list[str]:
        return [a["alert_id"] for a in client.get(f"/alerts/{query}").json()["items"]]

    assert told() == ["a-3", "a-2", "a-1"]
    assert told("?severity=critical") == ["a-2"]
    assert told("?kind=srm") == ["a-3"]
    assert told("?model_id=other") == []
    page = client.get("/alerts/?limit=1").json()
    assert told(f"?limit=2&cursor={page['next_cursor']}") == ["a-2", "a-1"]
    assert client.get("/alerts/?kind=weather").status_code == 422


def test_nobody_sees_what_belongs_to_others(api: Api) -> None:
    stranger = api.client("admin", "third")
    assert stranger.get(PATHS[1]).status_code == 404
    for path in (PATHS[0], *PATHS[2:]):
        assert stranger.get(path).json()["items"] == []
        assert stranger.get(f"{path}?org_id=acme").status_code == 404
        assert api.client().get(path).status_code == 401
    theirs = api.client("viewer", "demo").get(PATHS[1]).json()
    assert (theirs["org_id"], theirs["winner"]) == ("demo", "gpt4")


def test_without_clickhouse_one_is_told_when_to_come_back() -> None:
    away = Tables(f"http://127.0.0.1:{free_port()}", "rheostat").serve(Api())
    for path in PATHS:
        answer = away.client("viewer").get(path)
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True), path
