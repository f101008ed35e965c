"""Metrics over the API from the real engine: equal to the events, of one organisation, in time."""

import csv
import io
import random
import time
from statistics import mean
from typing import Any

import pyarrow as pa
import pytest
from fastapi.testclient import TestClient

from schemas.entities import Model
from tests.support.api import Api
from tests.support.events import feedback, inference
from tests.support.servers import ClickHouseServer, free_port
from tests.support.tables import Tables

pytestmark = pytest.mark.integration
PANE_MS = 10_000


def model(name: str, org_id: str = "acme", version: str = "1", **more: Any) -> Model:
    return Model(org_id, name, version, "us", ("chat",), **more)


@pytest.fixture(scope="module")
def tables(clickhouse: ClickHouseServer) -> Tables:
    return Tables.new(clickhouse.url)


@pytest.fixture(scope="module")
def events(tables: Tables) -> list[dict[str, Any]]:
    """Two hours of two models, in panes of the last day; and a neighbour's."""
    rng, now_ms = random.Random(1), int(time.time() * 1000)
    found = [
        inference(
            occurred_at=now_ms - 7_200_000 + i * 20_000,
            model_id="small" if i % 3 else "large",
            model_version="1" if i % 2 else "2",
            latency_ms=rng.lognormvariate(5, 1),
            quality=rng.random() if i % 4 else None,
            cost_usd=0.1,
            error_type="timeout" if i % 10 == 0 else None,
        )
        for i in range(300)
    ]
    tables.count([*found, *(e | {"org_id": "other"} for e in found[:50])])
    tables.count([feedback(occurred_at=now_ms - 60_000, value=5.0)], "FeedbackEvent")
    return found


@pytest.fixture
def api(tables: Tables, events: list[dict[str, Any]]) -> Api:
    hidden = model("hidden", visibility="private", owner="ann")
    return tables.serve(
        Api(model("small"), model("large"), hidden, model("small", "other"), model("far", "other"))
    )


@pytest.fixture
def client(api: Api) -> TestClient:
    return api.client("viewer")


def of(events: list[dict[str, Any]], name: str, field: str) -> list[float]:
    return [e[field] for e in events if e["model_id"] == name and e[field] is not None]


def test_the_whole_is_the_sum_of_its_events(
    client: TestClient, events: list[dict[str, Any]]
) -> None:
    answer = client.get("/models/small/metrics/aggregated/", params={"version": "1"}).json()
    found = {p["metric"]: p for p in answer["points"]}
    mine = [e for e in events if e["model_version"] == "1"]
    latencies = of(mine, "small", "latency_ms")
    assert found["latency_ms"]["n"] == len(latencies)
    assert found["latency_ms"]["mean"] == pytest.approx(mean(latencies))
    assert found["latency_ms"]["lower"] < mean(latencies) < found["latency_ms"]["upper"]
    assert found["latency_ms"]["p95"] == pytest.approx(
        sorted(latencies)[int(0.95 * (len(latencies) - 1))], rel=0.011
    )
    assert found["cost_usd"]["total"] == pytest.approx(len(latencies) / 10, abs=1e-12)
    assert found["cost_usd"]["lower"] is None
    assert "no spread" in found["cost_usd"]["reason"]
    assert found["quality"]["mean"] == pytest.approx(mean(of(mine, "small", "quality")))
    assert "ttft_ms" not in found, "never measured is absent, not zero"
    assert answer["watermark"] is not None
    assert answer["resolution"] == "pane"


def test_steps_add_up_to_the_whole(client: TestClient, events: list[dict[str, Any]]) -> None:
    asked: dict[str, Any] = {"metric": "latency_ms", "step": 600}
    points = client.get("/models/small/metrics/", params=asked).json()["points"]
    assert len(points) > 10
    assert sum(p["n"] for p in points) == len(of(events, "small", "latency_ms"))
    assert [p["at"] for p in points] == sorted(p["at"] for p in points)


def test_hours_and_panes_tell_the_same(client: TestClient) -> None:
    since, until = time.time() - 40 * 86_400, time.time() + 60
    asked: dict[str, Any] = {"metric": "quality", "from": since, "to": until, "capability": "chat"}
    months = client.get("/models/small/metrics/aggregated/", params=asked).json()
    fine = client.get("/models/small/metrics/aggregated/", params={"metric": "quality"}).json()
    assert (months["resolution"], fine["resolution"]) == ("hour", "pane")
    keys = ("n", "mean", "lower", "upper", "p50", "p99", "minimum", "maximum")
    told = [[[p[k] for k in keys] for p in answer["points"]] for answer in (months, fine)]
    assert told[0] == [pytest.approx(values) for values in told[1]]


def test_models_stand_side_by_side(client: TestClient, events: list[dict[str, Any]]) -> None:
    asked = {"with": "large,small@1", "metric": "latency_ms"}
    answer = client.get("/models/small/metrics/compare/", params=asked).json()
    assert "random" in answer["caution"]
    found = {d["other"]: d for d in answer["differences"]}
    expected = mean(of(events, "large", "latency_ms")) - mean(of(events, "small", "latency_ms"))
    assert found["large"]["difference"] == pytest.approx(expected)
    assert found["large"]["lower"] < expected < found["large"]["upper"]
    assert set(found) == {"large", "small@1"}
    stepped = client.get("/models/small/metrics/compare/", params=asked | {"step": 3600}).json()
    assert (
        sum(d["n_other"] for d in stepped["differences"] if d["other"] == "large")
        == found["large"]["n_other"]
    )


def test_a_custom_metric_is_only_a_name(client: TestClient) -> None:
    asked = {"metric": "thumbs_up"}
    (point,) = client.get("/models/small/metrics/aggregated/", params=asked).json()["points"]
    assert (point["n"], point["mean"], point["lower"]) == (1, 5.0, None)
    assert "single value" in point["reason"]


def test_csv_and_arrow_hold_the_same_table(client: TestClient) -> None:
    path = "/models/small/metrics/aggregated/"
    until = {"to": str(time.time())}
    points = client.get(path, params=until).json()["points"]
    text = client.get(path, params=until, headers={"Accept": "text/csv"})
    assert text.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(text.text)))
    assert [float(r["mean"]) for r in rows] == [p["mean"] for p in points]
    assert all(r["lower"] == "" for r in rows if r["metric"] == "cost_usd")
    binary = client.get(path, params={**until, "format": "arrow"})
    table = pa.ipc.open_stream(binary.content).read_all()
    assert table.column("mean").to_pylist() == [p["mean"] for p in points]
    assert table.schema.metadata[b"source"] == b"production"
    assert client.get(path, headers={"Accept": "image/png"}).status_code == 406


@pytest.mark.parametrize("path", ["", "aggregated/", "compare/?with=small"])
@pytest.mark.parametrize("name", ["far", "hidden", "nobody"])
def test_what_is_not_the_callers_does_not_exist(api: Api, path: str, name: str) -> None:
    answer = api.client("viewer").get(f"/models/{name}/metrics/{path}")
    assert answer.status_code == 404
    if path.startswith("compare"):
        turned = api.client("viewer").get(f"/models/small/metrics/compare/?with={name}")
        assert turned.status_code == 404


def test_a_neighbour_of_the_same_name_is_not_mixed_in(api: Api) -> None:
    asked = {"metric": "error"}
    path = "/models/small/metrics/aggregated/"
    mine = api.client("viewer").get(path, params=asked).json()["points"]
    theirs = api.client("viewer", "other").get(path, params=asked).json()["points"]
    assert sum(p["n"] for p in mine) == 200
    assert 0 < sum(p["n"] for p in theirs) < 50
    assert api.client("viewer").get(path, params={"org_id": "other"}).status_code == 404
    operator = api.client("operator")
    assert operator.get(path).status_code == 422
    seen = operator.get(path, params={"org_id": "other", **asked}).json()["points"]
    assert seen == theirs


def test_nothing_measured_is_an_empty_answer(tables: Tables) -> None:
    client = tables.serve(Api(model("new"))).client("viewer")
    for path in ("", "aggregated/"):
        answer = client.get(f"/models/new/metrics/{path}").json()
        assert (answer["points"], answer["watermark"]) == ([], None)
    table = client.get("/models/new/metrics/?format=arrow").content
    assert pa.ipc.open_stream(table).read_all().num_rows == 0


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"step": "10", "from": "2026-10-01T00:00:00Z"}, "step"),
        ({"step": "15"}, "step"),
        ({"from": "2026-10-01T00:00:00"}, "from"),
        ({"from": "2126-10-01T00:00:00Z"}, "from"),
        ({"metric": "Robert'); DROP TABLE"}, "metric[0]"),
        ({"source": "both"}, "source"),
        ({"alpha": "0"}, "alpha"),
        ({"format": "xml"}, "format"),
    ],
)
def test_malformed_questions_name_the_field(
    client: TestClient, asked: dict[str, str], field: str
) -> None:
    answer = client.get("/models/small/metrics/", params=asked)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


def test_without_clickhouse_one_is_told_when_to_come_back() -> None:
    api = Tables(f"http://127.0.0.1:{free_port()}", "rheostat").serve(Api(model("small")))
    answer = api.client("viewer").get("/models/small/metrics/aggregated/")
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
