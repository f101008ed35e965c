"""From sums to what is shown: merged before it is estimated, null with a reason where unknown."""

from datetime import UTC, datetime

import numpy as np
import pytest

from api.summaries import Group, Side, State, compared, grouped, summary
from sinks.metric_points import Point
from streams import sketch
from streams.statistics.quantiles import Sketch
from streams.statistics.sums import Sums

AT = datetime(2026, 11, 24, tzinfo=UTC)


def point(
    values: list[float], model: str = "small", version: str = "1", metric: str = "x"
) -> Point:
    keys, counts = np.unique(sketch.keys(np.array(values)), return_counts=True)
    found = Sketch([int(k) for k in keys], [int(c) for c in counts])
    nanos = round(sum(values) * 1e9) if metric == "cost_usd" else 0
    return Point(AT, model, version, metric, Sums.of_values(values), nanos, found)


def test_versions_together_are_as_if_they_were_one() -> None:
    a, b = [1.0, 2.0, 3.0], [10.0, 20.0]
    apart = grouped([point(a), point(b, version="2")], steps=True, versions=True)
    assert len(apart) == 2
    together = grouped([point(a), point(b, version="2")], steps=False, versions=False)
    whole = grouped([point(a + b, version="")], steps=False, versions=False)
    assert together == whole
    ((group, state),) = together.items()
    shown = summary(group, state, 0.05)
    assert (shown["n"], shown["mean"], shown["at"]) == (5, pytest.approx(7.2), None)
    assert shown["p50"] == pytest.approx(3.0, rel=0.01)
    assert shown["lower"] < 7.2 < shown["upper"]


def test_no_interval_is_null_with_its_reason() -> None:
    shown = summary(Group(AT, "small", "1", "x"), State(Sums.of_values([4.0])), 0.05)
    assert (shown["mean"], shown["lower"], shown["upper"]) == (4.0, None, None)
    assert "single value" in shown["reason"]
    assert shown["p50"] is None, "there is no sketch"


def test_money_is_exact() -> None:
    state = State(Sums.of_values([0.1, 0.2]), 300_000_000)
    assert summary(Group(None, "m", "", "cost_usd"), state, 0.05)["total"] == 0.3


def test_sides_are_compared_metric_by_metric() -> None:
    rng = np.random.default_rng(1)
    small, large = rng.normal(5, 1, 400), rng.normal(6, 1, 400)
    points = [point(list(small)), point(list(large), "large"), point([1.0, 0.0], metric="error")]
    sides = [Side("small", ""), Side("large", "1"), Side("none", "")]
    mine = [p for side in sides for p in side.of(points)]
    states = grouped(mine, steps=False, versions=False)
    found = {
        (d["metric"], d["other"]): d for d in compared(states, "small", ["large@1", "none"], 0.05)
    }
    clear = found["x", "large@1"]
    assert clear["difference"] == pytest.approx(1.0, abs=0.2)
    assert 0 < clear["lower"] < clear["difference"] < clear["upper"]
    assert clear["p_value"] < 1e-6
    unknown = found["error", "none"]
    assert (unknown["difference"], unknown["p_value"]) == (None, None)
    assert "one of them" in unknown["reason"]
    assert found["x", "none"]["n_base"] == 400
