"""What a test still takes: looking always, once, and at the looks that it planned."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from agents.ab_plan import plan
from agents.policy.trial import Trial, add
from agents.policy.verdicts import judge
from schemas.entities import MetricGoal, Spending, SpendingFamily
from streams.statistics import looks, planning
from tests.support.trials import TEST, calls, rows

NOW = datetime(2026, 6, 1, tzinfo=UTC)
EFFECT = 0.01
GOAL = MetricGoal("quality", "primary", "higher", None, EFFECT)
WITHOUT = replace(TEST, metrics=(GOAL,), planned_n=2000)
CALLS = rows(
    [*calls("a", 400, quality=0.6), *calls("b", 400, quality=0.6)],
    int((NOW - timedelta(days=2)).timestamp()),
)
VERDICT = judge(add(Trial(), WITHOUT, CALLS), WITHOUT, NOW)[1]


@pytest.mark.parametrize("family", ["obrien_fleming", "pocock"])
def test_planned_looks_stand_beside_always_and_once(family: SpendingFamily) -> None:
    (found,) = plan(replace(WITHOUT, spending=Spending(family, 4)), VERDICT, 0.8)
    assert found.deviation is not None
    drift = looks.needed_drift(family, 4, 0.05, 0.8)
    assert found.needed_looks == pytest.approx(2 * (drift * found.deviation / EFFECT) ** 2, abs=1)
    assert found.detectable_looks == pytest.approx(drift * found.deviation * (2 / 2000) ** 0.5)
    assert found.days_left_looks == pytest.approx((found.needed_looks or 0) / 200 - 2, rel=1e-3)
    sizes = found.needed_once, found.needed_looks, found.needed_always
    assert sorted(sizes, key=lambda n: n or 0) == list(sizes)
    # As rheostat stats plan has them, of as many looks.
    asked = planning.Question(EFFECT, found.deviation)
    beside = {row.method: row.n for row in planning.beside(asked, 0.05, 0.8, at_looks=4)}
    assert (found.needed_once, found.needed_looks) == (beside["fixed"], beside[family])


def test_without_planned_looks_nothing_is_said_of_them() -> None:
    (found,) = plan(WITHOUT, VERDICT)
    assert found.needed_once is not None
    assert (found.needed_looks, found.days_left_looks, found.detectable_looks) == (None,) * 3
    (planned,) = plan(replace(WITHOUT, spending=Spending("pocock", 4)), VERDICT)
    nothing = {"needed_looks": None, "days_left_looks": None, "detectable_looks": None}
    assert replace(planned, **nothing) == found  # type: ignore[arg-type]
