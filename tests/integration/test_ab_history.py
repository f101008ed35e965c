"""What ClickHouse remembers of a test's verdicts: who decided, and how it went over time."""

from dataclasses import replace
from datetime import timedelta

import pytest

from schemas.topics import Topic
from sinks import ab_history
from tests.integration.test_ab_results import HISTORY
from tests.support.api import Api
from tests.support.servers import ClickHouseServer
from tests.support.tables import Tables
from tests.support.verdicts import verdict

pytestmark = pytest.mark.integration
VERDICT = replace(verdict(1050), org_id="acme", ab_test_id="gpt4-for-law")
NAMED = ("acme", "gpt4-for-law")


def test_a_decision_is_found_behind_later_verdicts_of_the_monitor(
    clickhouse: ClickHouseServer,
) -> None:
    tables = Tables.new(clickhouse.url)
    tables.publish(Topic.AB_VERDICTS, VERDICT, first_offset=1)
    assert ab_history.decided(tables.connect(), *NAMED) is None
    made = replace(
        VERDICT,
        as_of=VERDICT.as_of + timedelta(seconds=1),
        status="decided",
        winner="gpt4",
        decided_at=VERDICT.as_of,
        decision="me: users like it",
        decided_by="me",
    )
    tables.publish(Topic.AB_VERDICTS, made, first_offset=2)
    later = replace(VERDICT, as_of=VERDICT.as_of + timedelta(seconds=2))
    tables.publish(Topic.AB_VERDICTS, later, first_offset=3)
    assert ab_history.newest(tables.connect(), *NAMED) == later
    assert ab_history.decided(tables.connect(), *NAMED) == made
    assert ab_history.decided(tables.connect(), "globex", "gpt4-for-law") is None
    api = tables.serve(Api())
    api.put(HISTORY[-1][1])
    body = {"winner": "mixtral", "reason": "no"}
    answer = api.client("editor").post("/ab-tests/gpt4-for-law/decide/", json=body)
    assert answer.status_code == 409, answer.text
    assert answer.json()["detail"] == "me decided already: me: users like it"


def test_a_timeline_has_no_more_verdicts_than_asked_for(clickhouse: ClickHouseServer) -> None:
    tables = Tables.new(clickhouse.url)
    for i in range(10):
        one = replace(VERDICT, as_of=VERDICT.as_of + timedelta(milliseconds=i))
        tables.publish(Topic.AB_VERDICTS, one, first_offset=i)
    until = VERDICT.as_of + timedelta(milliseconds=10)
    found = ab_history.timeline(tables.connect(), *NAMED, until, 4)
    passed = [(each.as_of - VERDICT.as_of) // timedelta(milliseconds=1) for each in found]
    assert passed == [2, 5, 8, 9]
