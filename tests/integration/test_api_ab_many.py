"""Several A/B tests over the API, from verdicts in the real ClickHouse."""

import math
import random
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from schemas.entities import AbTest, Arm, MetricGoal
from schemas.records import AbVerdict
from schemas.topics import Topic
from streams.statistics.online_fdr import share
from tests.support.api import Api
from tests.support.events import case_result, encode, score
from tests.support.servers import ClickHouseServer, free_port
from tests.support.tables import Tables
from tests.support.verdicts import BEGIN, verdict

pytestmark = pytest.mark.integration
ALL = "/ab-tests/discoveries/"
EVIDENCE = "/ab-tests/second/evidence/"
ARMS = (Arm("mixtral", "mixtral-8x7b-instruct"), Arm("gpt4", "gpt-4-1106-preview"))
GOALS = (MetricGoal("quality", "primary", "higher"),)


def ab_test(name: str, **changes: Any) -> AbTest:
    made = AbTest("acme", name, "professional_law", "request", ARMS, "mixtral", GOALS)
    return replace(made, **changes)


def judged(name: str, day: int, e: float, **changes: Any) -> AbVerdict:
    made = verdict(200)
    first, *others = made.comparisons
    comparisons = (replace(first, log_e_value=math.log(e)), *others)
    made = replace(made, org_id="acme", ab_test_id=name, comparisons=comparisons)
    at = {"started_at": BEGIN + timedelta(days=day), "as_of": BEGIN + timedelta(days=4)}
    return replace(made, **{**at, **changes})


@pytest.fixture(scope="module")
def api(clickhouse: ClickHouseServer) -> Api:
    """Three tests with verdicts, of which one was deleted from the registry; an offline one that is
    known from its cases alone; and another organisation's."""
    tables = Tables.new(clickhouse.url)
    older = judged("second", 1, 1e9, as_of=BEGIN)
    theirs = replace(judged("first", 0, 1e9), org_id="globex")
    mine = [judged("second", 1, 400), judged("first", 0, 1e5), judged("deleted", 2, 2.0)]
    mine += [judged("other", 3, 1.0)]
    tables.publish(Topic.AB_VERDICTS, older, *mine, theirs)
    rng = random.Random(1)
    cases = [
        case_result(
            case_id=f"c{i}",
            org_id="acme",
            ab_test_id="cases",
            arm=arm,
            model_id=arm,
            occurred_at=int(time.time() * 1000),
            score=0.5 + 0.1 * (arm == "gpt4") + rng.gauss(0, 0.02),
            scores=[score()],
        )
        for arm in ("mixtral", "gpt4")
        for i in range(150)
    ]
    tables.store(Topic.CASE_RESULTS, encode("CaseResult", cases))
    made = tables.serve(Api())
    made.put(
        ab_test("first"),
        ab_test("second"),
        ab_test("idle"),
        ab_test("other", arms=(ARMS[0], Arm("gpt4", "llama"))),
        ab_test("planned", status="draft"),
        ab_test("cases", mode="offline", suite_id="law"),
        ab_test("elsewhere", org_id="globex"),
    )
    return made


def test_all_tests_in_the_order_in_which_they_began(api: Api) -> None:
    answer = api.client("viewer").get(ALL)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    names = [row["ab_test_id"] for row in found["tests"]]
    assert names == ["first", "second", "deleted", "other", "cases"]
    assert found["without_verdict"] == ["idle"]
    first, second, deleted, _, cases = found["tests"]
    assert first["level"] == pytest.approx(share(1) * 0.05)
    assert (first["discovery"], first["p_value"]) == (True, pytest.approx(1e-5))
    assert (first["metric"], first["arm"], first["comparisons"]) == ("quality", "gpt4", 1)
    assert second["log_e_value"] == pytest.approx(math.log(400)), "the newest verdict counts"
    assert second["level"] == pytest.approx(share(2) * 0.05 * 2)
    assert (second["discovery"], deleted["discovery"]) == (False, False)
    assert cases["discovery"]
    assert "not known when the test began" in cases["note"]
    assert found["discoveries"] == 2
    assert "may share" in found["assumes"]


def test_rate_and_procedure_are_chosen(api: Api) -> None:
    client = api.client("viewer")
    wide = client.get(ALL, params={"q": 0.2}).json()
    assert [row["discovery"] for row in wide["tests"]] == [True, True, False, False, True]
    lord = client.get(ALL, params={"procedure": "lord"}).json()
    assert lord["tests"][0]["level"] == pytest.approx(share(1) * 0.025)
    assert "independent" in lord["assumes"]
    for wrong in ({"q": 0}, {"q": 1}, {"procedure": "bh"}):
        assert client.get(ALL, params=wrong).status_code == 422


def test_only_the_own_organisation_is_seen(api: Api) -> None:
    assert api.client().get(ALL).status_code == 401
    theirs = api.client("viewer", "globex")
    found = theirs.get(ALL).json()
    assert [row["ab_test_id"] for row in found["tests"]] == ["first"]
    assert found["without_verdict"] == ["elsewhere"]
    assert theirs.get(ALL, params={"org_id": "acme"}).status_code == 404
    assert api.client("operator").get(ALL).status_code == 422


def test_a_test_of_that_name_is_not_made_and_one_that_exists_keeps_its_results(
    clickhouse: ClickHouseServer,
) -> None:
    tables = Tables.new(clickhouse.url)
    tables.publish(Topic.AB_VERDICTS, judged("discoveries", 0, 3.0))
    api = tables.serve(Api())
    api.put(ab_test("discoveries"))
    client = api.client("editor")
    assert [t["ab_test_id"] for t in client.get(ALL).json()["tests"]] == ["discoveries"]
    results = client.get("/ab-tests/discoveries/results/", params={"health": False}).json()
    assert results["ab_test_id"] == "discoveries"
    body = {"ab_test_id": "discoveries", "capability": "chat", "unit": "user", "baseline": "a"}
    body["arms"] = [{"arm": "a", "model_id": "m"}, {"arm": "b", "model_id": "n"}]  # type: ignore[assignment]
    body["metrics"] = [{"metric": "quality", "role": "primary", "direction": "higher"}]  # type: ignore[assignment]
    refused = client.post("/ab-tests/", json=body)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "ab_test_id"


def test_evidence_of_an_offline_and_an_online_test_multiplies(api: Api) -> None:
    client = api.client("viewer")
    answer = client.get(EVIDENCE, params={"with": "cases"})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["ab_test_id"], found["other"], found["how"]) == ("second", "cases", "product")
    (quality,) = found["comparisons"]
    online, offline = quality["tests"]
    assert (online["ab_test_id"], offline["mode"], offline["n_arm"]) == ("second", "offline", 150)
    assert online["log_e_value"] == pytest.approx(math.log(400))
    both = online["log_e_value"] + offline["log_e_value"]
    assert quality["log_e_value"] == pytest.approx(both)
    assert quality["p_value"] == pytest.approx(math.exp(-both))
    turned = client.get("/ab-tests/cases/evidence/", params={"with": "second"}).json()
    assert turned["comparisons"][0]["log_e_value"] == pytest.approx(both)


def test_evidence_of_tests_of_the_same_users_is_averaged(api: Api) -> None:
    client = api.client("viewer")
    asked = {"with": "first", "metric": "quality"}
    found = client.get(EVIDENCE, params=asked).json()
    assert found["how"] == "mean"
    assert "not independent" in found["why"]
    (quality,) = found["comparisons"]
    assert quality["p_value"] == pytest.approx(2 / (400 + 1e5))
    told = client.get(EVIDENCE, params={**asked, "independent": True}).json()
    assert told["comparisons"][0]["p_value"] == pytest.approx(1 / (400 * 1e5))


@pytest.mark.parametrize(
    ("asked", "status", "text"),
    [
        ({}, 422, "with"),
        ({"with": "second"}, 422, "is the test itself"),
        ({"with": "nobody"}, 404, "no such A/B test"),
        ({"with": "elsewhere"}, 404, "no such A/B test"),
        ({"with": "idle"}, 404, "verdict of idle yet: it is running"),
        ({"with": "cases", "metric": "cost_usd"}, 422, "not both the metric cost_usd in common"),
        ({"with": "other"}, 422, "do not compare the same models"),
    ],
)
def test_evidence_that_cannot_be_combined_is_told_why(
    api: Api, asked: dict[str, str], status: int, text: str
) -> None:
    answer = api.client("viewer").get(EVIDENCE, params=asked)
    assert answer.status_code == status, answer.text
    assert text in answer.json()["detail"]


def test_without_clickhouse_one_is_told_when_to_come_back() -> None:
    away = Tables(f"http://127.0.0.1:{free_port()}", "rheostat").serve(Api())
    away.put(ab_test("second"), ab_test("first"))
    for path, asked in ((ALL, {}), (EVIDENCE, {"with": "first"})):
        answer = away.client("viewer").get(path, params=asked)
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
