"""Sums for what other weights would have given, as Python computes them."""

import random

import pytest

from schemas.topics import Topic
from sinks.ab_logged import by_arm
from sinks.clickhouse import ClickHouse
from streams.statistics.bandit import Logged, counterfactual
from streams.statistics.estimates import Estimate
from streams.statistics.exact import Interval
from streams.statistics.moments import Moments
from streams.statistics.offpolicy import at_one_look, doubly_robust_by_choice
from tests.integration.test_ab_units import insert, server
from tests.support.events import inference

pytestmark = pytest.mark.integration
__all__ = ["server"]


def test_other_weights_are_judged_from_logged_propensities(server: ClickHouse) -> None:
    rng = random.Random(3)
    shares, means, other = {"a": 0.8, "b": 0.2}, {"a": 0.4, "b": 0.7}, {"a": 0.1, "b": 0.9}
    events = []
    for i in range(2000):
        arm = "a" if rng.random() < shares["a"] else "b"
        quality = means[arm] + rng.uniform(-0.2, 0.2) if i % 10 else None
        events.append(
            inference(
                event_id=str(i),
                ab_test_id="t",
                arm=arm,
                propensity=shares[arm] if i % 7 else None,
                quality=quality,
            )
        )
    insert(server, Topic.INFERENCE_EVENTS, events, "all")
    counted = [e for e in events if e["propensity"] and e["quality"] is not None]
    wanted = Logged.of_calls(
        [other[e["arm"]] / e["propensity"] for e in counted], [e["quality"] for e in counted]
    )
    folds = by_arm(server, "acme", "t", "quality", other)
    found = Logged.of_folds(folds)
    for name in Logged.__dataclass_fields__:
        assert getattr(found, name) == pytest.approx(getattr(wanted, name), rel=1e-9), name
    interval = counterfactual(found)
    assert isinstance(interval, Interval)
    truth = sum(other[arm] * means[arm] for arm in "ab")
    assert interval.lower < truth < interval.upper
    assert [set(fold) for fold in folds] == [{"a", "b"}] * 2
    sizes = [sum(sums.n for sums in fold.values()) for fold in folds]
    assert sum(sizes) == len(counted)
    assert min(sizes) > 0.4 * len(counted)
    robust = doubly_robust_by_choice(folds, other)
    assert isinstance(robust, Moments)
    estimate = at_one_look(robust)
    assert isinstance(estimate, Estimate)
    assert estimate.lower < truth < estimate.upper
    assert estimate.upper - estimate.lower <= 1.01 * (interval.upper - interval.lower)
    assert Logged.of_folds(by_arm(server, "acme", "none", "quality", other)) == Logged()
