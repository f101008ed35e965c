"""Selection over the API: the selector's own answer over the same panes, and what was published."""

import random
import time
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from agents.book import Message
from agents.policy.contributions import Place, production
from agents.policy.selection import Question, select
from agents.policy.window import Window
from agents.selector import Selector
from schemas.entities import (
    Model,
    PolicyScales,
    PolicyWeights,
    SelectionPolicy,
)
from schemas.records import SelectionUpdate
from schemas.topics import Topic
from streams.types import Partials
from tests.support.api import Api
from tests.support.demo import GPT, selection
from tests.support.events import case_result, inference, score
from tests.support.servers import ClickHouseServer, free_port
from tests.support.tables import Tables

pytestmark = pytest.mark.integration
POLICY = SelectionPolicy(
    "acme",
    "chat",
    PolicyWeights(quality=1, cost_usd=0.5, latency_ms=0.1, error=1),
    PolicyScales(0.1, 10_000),
    min_samples=20,
    window_minutes=30,
)
MODELS = (
    Model("acme", "small", "1", "us", ("chat",), features=("tools",)),
    Model("acme", "large", "1", "us", ("chat",), features=("tools", "vision")),
    Model("acme", "new", "1", "us", ("chat",)),
)
ENTITIES = (*MODELS, POLICY)
NOW_MS = int(time.time() * 1000)
DAY_MS = 86_400_000


def calls(seed: int, n: int = 200, newest_ms: int = NOW_MS) -> list[dict[str, Any]]:
    """Large is better and dearer; over 40 minutes, so that some have left the window."""
    rng = random.Random(seed)
    return [
        inference(
            occurred_at=newest_ms - i * 12_000,
            model_id=name,
            latency_ms=rng.lognormvariate(6, 0.3),
            cost_usd=0.002 if name == "small" else 0.02,
            quality=min(1.0, max(0.0, rng.gauss(0.7 if name == "small" else 0.85, 0.1))),
            error_type="timeout" if rng.random() < 0.02 else None,
        )
        for i in range(n)
        for name in ("small", "large")
    ]


def evaluated(model_id: str, quality: float, at_ms: int) -> list[dict[str, Any]]:
    """300 cases about this good, each of which cost and took as much as a call of small."""
    rng = random.Random(quality)
    return [
        case_result(
            case_id=f"case-{i}",
            occurred_at=at_ms - i * 1000,
            model_id=model_id,
            latency_ms=400.0,
            cost_usd=0.002,
            scores=[score(metric="quality", value=min(1.0, max(0.0, rng.gauss(quality, 0.05))))],
        )
        for i in range(300)
    ]


@pytest.fixture(scope="module")
def tables(clickhouse: ClickHouseServer) -> Tables:
    return Tables.new(clickhouse.url)


@pytest.fixture(scope="module")
def window(tables: Tables) -> Window:
    """What the selector's book holds of the same messages."""
    frames = tables.count(calls(1))
    window = Window()
    for offset, frame in enumerate(frames):
        panes = production(frame)[Place("acme", "chat")]
        window.apply(panes, offset, 30 * 60_000, int(time.time() * 1000))
    return window


@pytest.fixture
def client(tables: Tables, window: Window) -> TestClient:
    return tables.serve(Api(*ENTITIES)).client("viewer")


def ask(client: TestClient, what: str, **more: Any) -> dict[str, Any]:
    answer = client.post(f"/selection/{what}/", json={"capability": "chat", **more})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_it_is_the_selectors_own_answer(client: TestClient, window: Window) -> None:
    now = datetime.now(UTC)
    own = select(Question(POLICY, 1, MODELS, window.sums), None, now)[0]
    found = ask(client, "ranked")
    assert found["reason"] == own.reason
    assert found["watermark"] is not None
    assert_same(found["candidates"], own)
    assert ask(client, "recommend")["recommended"] == found["candidates"][0]


@pytest.mark.parametrize("prior_samples", [0, 150])
def test_evaluations_count_here_as_they_do_for_the_selector(
    clickhouse: ClickHouseServer, prior_samples: int
) -> None:
    """Also those from before the policy; not those of another month."""
    tables, policy = Tables.new(clickhouse.url), replace(POLICY, prior_samples=prior_samples)
    api = tables.serve(Api(*MODELS))
    selector = Selector(api.memory.snapshot)
    batches = [
        (evaluated("new", 0.95, NOW_MS - 40 * DAY_MS), "CaseResult"),
        (evaluated("new", 0.9, NOW_MS - 20 * DAY_MS), "CaseResult"),
        (evaluated("large", 0.2, NOW_MS), "CaseResult"),
        (calls(3), "InferenceEvent"),
    ]
    offset = 0
    for events, record in batches:
        if record == "InferenceEvent":
            api.put(policy)
        for frame in tables.count(events, record):
            offset += 1
            message = Message(0, offset, Partials("b", datetime.now(UTC), (), 1, frame))
            selector.apply(message, datetime.now(UTC))
    own = next(p.record for p in selector.decide(datetime.now(UTC)))
    assert isinstance(own, SelectionUpdate)
    found = ask(api.client("viewer"), "ranked")
    assert found["reason"] == own.reason
    assert found["candidates"][0]["model_id"] == ("new" if prior_samples else "large")
    assert_same(found["candidates"], own)
    fresh = next(c for c in found["candidates"] if c["model_id"] == "new")
    assert fresh["samples"] == prior_samples
    assert fresh["quality"] == (pytest.approx(0.9, abs=0.01) if prior_samples else None)


def assert_same(candidates: list[dict[str, Any]], own: SelectionUpdate) -> None:
    for mine, theirs in zip(candidates, own.candidates, strict=True):
        for name, value in asdict(theirs).items():
            near = pytest.approx(value, rel=1e-9) if isinstance(value, float) else value
            assert mine[name] == (list(near) if isinstance(near, tuple) else near), name


def test_the_requests_terms_go_over_the_policys(client: TestClient) -> None:
    assert ask(client, "recommend")["recommended"]["model_id"] == "large"
    cheap = ask(client, "recommend", weights={"cost_usd": 5})
    assert cheap["recommended"]["model_id"] == "small"
    limited = ask(client, "recommend", constraints={"max_cost_usd": 0.01})
    assert limited["recommended"]["model_id"] == "small"
    seeing = ask(
        client, "recommend", requirements={"features": ["vision"]}, weights={"cost_usd": 5}
    )
    assert seeing["recommended"]["model_id"] == "large"
    out = {e["model_id"]: e["reasons"] for e in seeing["excluded"]}
    assert out == {"small": ["lacks vision"], "new": ["lacks vision"]}


def test_it_says_what_would_have_to_change_and_that_is_true(client: TestClient) -> None:
    limits = {"max_cost_usd": 0.01}
    found = ask(client, "explain", constraints=limits)
    by_name = {c["model_id"]: c for c in found["candidates"]}
    (obstacle,) = by_name["large"]["obstacles"]
    assert (obstacle["code"], obstacle["limit"]) == ("max_cost_usd", 0.01)
    assert obstacle["measured"] == pytest.approx(0.02)
    assert "0.01 beyond" in by_name["large"]["what_if"]
    assert by_name["small"]["what_if"] is None
    assert [o["code"] for o in by_name["new"]["obstacles"]] == ["too_few", "max_cost_usd"]
    lifted = {"max_cost_usd": obstacle["measured"] + 1e-9}
    assert ask(client, "recommend", constraints=lifted)["recommended"]["model_id"] == "large"


def test_an_answer_stands_while_the_panes_stand(tables: Tables) -> None:
    place = replace(POLICY, capability="code")
    models = [replace(m, capabilities=("code",)) for m in MODELS]
    code = [event | {"capability": "code"} for event in calls(2, 50)]
    tables.count(code)
    api = tables.serve(Api(*models, place))
    client = api.client("viewer")
    first = client.post("/selection/ranked/", json={"capability": "code"}).json()
    again = client.post("/selection/ranked/", json={"capability": "code"}).json()
    assert (first["cached"], again["cached"]) == (False, True)
    assert again | {"cached": False} == first
    tables.count([code[-1] | {"event_id": "late"}])  # late: the newest pane stays the newest
    api.forward(seconds=2)
    late = client.post("/selection/ranked/", json={"capability": "code"}).json()
    assert late["cached"] is False
    assert late["watermark"] == first["watermark"]
    assert sum(c["samples"] for c in late["candidates"]) == 101
    api.add(Model("acme", "another", "1", "us", ("code",)))
    assert (
        len(client.post("/selection/ranked/", json={"capability": "code"}).json()["candidates"])
        == 4
    )


def test_without_a_call_the_fallback_is_named_and_nothing_is_zero(tables: Tables) -> None:
    policy = replace(POLICY, capability="silent", fallback=("small",))
    silent = tables.serve(Api(replace(MODELS[0], capabilities=("silent",)), policy)).client(
        "viewer"
    )
    found = silent.post("/selection/explain/", json={"capability": "silent"}).json()
    assert found["watermark"] is None
    (only,) = found["candidates"]
    assert (only["score"], only["quality"], only["samples"]) == (None, None, 0)
    assert "Fallback" in found["reason"]


def test_without_a_policy_and_for_strangers_there_is_nothing(tables: Tables) -> None:
    api = tables.serve(Api(*ENTITIES))
    for client in (api.client("viewer", "other"), api.client("viewer")):
        capability = "chat" if client.get("/me/").json()["org_id"] == "other" else "unheard"
        for what in ("recommend", "ranked", "explain"):
            answer = client.post(f"/selection/{what}/", json={"capability": capability})
            assert answer.status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "capability"),
        ({"capability": "chat", "weights": {"beauty": 1}}, "weights.beauty"),
        ({"capability": "chat", "weights": {"quality": -1}}, "weights.quality"),
        ({"capability": "chat", "constraints": {"min_quality": 2}}, "constraints.min_quality"),
        ({"capability": "chat", "requirements": {"min_level": "god"}}, "requirements.min_level"),
        ({"capability": "chat", "window_minutes": 0}, "window_minutes"),
        ({"capability": "chat", "scales": {"cost_usd": 0}}, "scales.cost_usd"),
    ],
)
def test_malformed_questions_name_the_field(
    client: TestClient, body: dict[str, Any], field: str
) -> None:
    answer = client.post("/selection/recommend/", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


def test_without_clickhouse_one_is_told_when_to_come_back() -> None:
    away = Tables(f"http://127.0.0.1:{free_port()}", "rheostat").serve(Api(*ENTITIES))
    client = away.client("viewer")
    answer = client.post("/selection/recommend/", json={"capability": "chat"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert client.get("/selection/current/").status_code == 503


def test_what_was_published_is_paged_and_scoped(tables: Tables) -> None:
    records = [selection("law", GPT, second, org_id="acme") for second in range(5)]
    records += [selection("law", GPT, 9, org_id="other"), selection("tax", None, 1, org_id="acme")]
    tables.publish(Topic.SELECTION_UPDATES, *records)
    api = tables.serve(Api())
    client = api.client("viewer")
    seen: list[str] = []
    asked: dict[str, Any] = {"capability": "law", "limit": 2}
    while True:
        page = client.get("/selection/history/", params=asked).json()
        seen += [item["selection_id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        asked["cursor"] = page["next_cursor"]
    assert seen == [f"law-{second}" for second in (4, 3, 2, 1, 0)]
    at = records[2].issued_at
    part = client.get(
        "/selection/history/",
        params={
            "capability": "law",
            "from": at.isoformat(),
            "to": (at + timedelta(seconds=1)).isoformat(),
        },
    ).json()
    assert [item["selection_id"] for item in part["items"]] == ["law-2"]
    current = client.get("/selection/current/").json()["items"]
    assert [item["selection_id"] for item in current] == ["law-4", "tax-1"]
    (law,) = client.get("/selection/current/?capability=law").json()["items"]
    assert law["candidates"][0]["model_id"] == GPT
    assert client.get("/selection/current/?capability=none").status_code == 404
    assert api.client("viewer", "third").get("/selection/current/").json()["items"] == []
    foreign = client.get("/selection/history/?capability=law&cursor=bm8").json()
    assert foreign["errors"][0]["field"] == "cursor"
