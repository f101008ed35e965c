"""What a verdict recommends: least effects, durations, sizes, prices, units, people."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import polars as pl
import pytest

from agents.policy.beliefs import beliefs
from agents.policy.sources import STRETCHES_MAX, Position, counted
from agents.policy.trial import Cell, Trial, add, dump_trial, load_trial
from agents.policy.units import UnitFindings
from agents.policy.verdicts import Verdicts, judge
from schemas.entities import AbTest, Allocation, Arm, DecisionRule, MetricGoal
from schemas.records import AbVerdict
from streams.statistics import bayes
from streams.statistics.clusters import UnitSums
from tests.support.trials import TEST, calls, goal, rows

NOW = datetime(2026, 6, 1, tzinfo=UTC)
BEGAN_S = int(NOW.timestamp()) - 3600
BETTER = [*calls("a", 400, quality=0.6), *calls("b", 400, quality=0.7)]
WORSE = [*calls("a", 400, quality=0.7), *calls("b", 400, quality=0.6)]
LEVEL = [*calls("a", 400, quality=0.6), *calls("b", 400, quality=0.6)]


def judged(test: AbTest, events: list[dict[str, Any]], **judging: Any) -> AbVerdict:
    first, last = rows(events, BEGAN_S), rows(events, int(NOW.timestamp()) - 10)
    return judge(add(add(Trial(), test, first), test, last), test, NOW, **judging)[1]


def advice(verdict: AbVerdict) -> tuple[str, str | None, str]:
    return verdict.recommendation, verdict.winner, verdict.reason


def ruled(**rule: Any) -> AbTest:
    return replace(TEST, decision=DecisionRule(**rule))


def test_ship_roll_back_and_keep_going_with_their_reasons() -> None:
    ship = judged(TEST, BETTER)
    assert advice(ship)[:2] == ("ship", "b")
    assert ship.reason == ship.decision
    assert advice(judged(TEST, WORSE))[:2] == ("roll_back", "a")
    open_ = judged(TEST, LEVEL)
    assert advice(open_)[:2] == ("keep_going", None)
    assert open_.reason.startswith("b: quality may be better by ")
    assert "worse by" in open_.reason
    assert judge(Trial(), TEST, NOW)[1].reason == "No calls of the test have come yet."


def test_an_effect_below_the_least_is_not_shipped() -> None:
    def wanting(least: float) -> AbTest:
        return replace(TEST, metrics=(MetricGoal("quality", "primary", "higher", None, least),))

    assert judged(wanting(0.05), BETTER).recommendation == "ship"
    small = judged(wanting(0.2), BETTER)
    assert advice(small)[:2] == ("no_difference", None)
    assert "the least effect of 0.2 on quality" in small.reason
    assert (small.comparisons[0].verdict, small.comparisons[0].worth) == ("better", "not_worth")
    close = judged(wanting(0.1), BETTER)
    assert close.comparisons[0].worth in ("worth", "open")


def test_a_least_duration_holds_a_winner_back_but_no_harm() -> None:
    early = judged(ruled(min_duration_s=7200), BETTER)
    assert early.recommendation == "keep_going"
    assert early.reason == "b is ahead, but it must run for 2 h and has for 59.8 min."
    assert judged(ruled(min_duration_s=3000), BETTER).recommendation == "ship"
    assert judged(ruled(min_duration_s=7200), WORSE).recommendation == "roll_back"


def test_a_least_number_of_calls_holds_a_winner_back() -> None:
    few = judged(ruled(min_units=1000), BETTER)
    assert few.recommendation == "keep_going"
    assert "each arm must have 1000 calls and one has 800" in few.reason
    assert judged(ruled(min_units=800), BETTER).recommendation == "ship"


def test_at_its_largest_duration_an_open_test_ends() -> None:
    assert judged(ruled(max_duration_s=7200), LEVEL).recommendation == "keep_going"
    ended = judged(ruled(max_duration_s=3000), LEVEL)
    assert advice(ended)[:2] == ("no_difference", None)
    assert "maximum duration of 50 min" in ended.reason
    assert "may still differ" in ended.reason
    held = judged(ruled(max_duration_s=3000, min_units=10**6), BETTER)
    assert held.recommendation == "ship", "what is found by then counts"


def test_a_test_without_news_is_judged_again_at_its_largest_duration() -> None:
    test = ruled(max_duration_s=7200)
    trial = add(Trial(), test, rows(LEVEL, BEGAN_S))
    assert Verdicts().wakes_at(trial, test) == NOW + timedelta(hours=1)
    assert Verdicts().wakes_at(trial, TEST) is None


@pytest.mark.parametrize(
    ("usd", "recommendation"), [(0.01, "ship"), (0.0001, "roll_back"), (0.001, "keep_going")]
)
def test_quality_may_cost_only_so_much(usd: float, recommendation: str) -> None:
    """b is better by 0.1, ten points, and costs $0.01 more a call."""
    cheap, dear = [0.001, 0.003] * 200, [0.011, 0.013] * 200
    events = rows([*calls("a", 400, quality=0.6), *calls("b", 400, quality=0.7)])
    money = rows(
        [
            {"arm": "a", "metric": "cost_usd", "values": cheap},
            {"arm": "b", "metric": "cost_usd", "values": dear},
        ]
    )
    money = money.with_columns(total_nanos=(pl.col("total") * 1e9).round().cast(pl.Int64))
    test = ruled(cost_per_point_usd=usd)
    verdict = judge(add(add(Trial(), test, events), test, money), test, NOW)[1]
    assert verdict.recommendation == recommendation, verdict.reason
    if recommendation == "roll_back":
        assert f"it costs more than ${usd:g} for each 0.01 of quality" in verdict.reason
    if recommendation == "keep_going":
        assert "price of quality may still be worse than is accepted" in verdict.reason


UNITS = replace(TEST, analysis="units")


def units(n: int, gap: float, **more: Any) -> UnitFindings:
    def side(mean: float) -> UnitSums:
        totals = [5 * (mean + (0.1 if i % 2 else -0.1)) for i in range(n)]
        return UnitSums.of_units(totals, [5.0] * n, sum(t * t / 5 for t in totals) * 1.001)

    sums = {Cell("a", "quality"): side(0.6), Cell("b", "quality"): side(0.6 + gap)}
    return UnitFindings(sums=sums, units={"a": n, "b": n}, as_of=NOW, **more)


def test_a_test_by_units_never_decides_by_calls() -> None:
    without = judged(UNITS, BETTER)
    assert without.recommendation == "keep_going"
    assert without.comparisons[0].verdict == "no_estimate"
    assert "there is nothing newer" in without.reason
    away = judged(UNITS, BETTER, units=units(400, 0.1).failed("ClickHouse does not answer"))
    assert advice(away) == (
        "keep_going",
        None,
        "It is analysed by units, and there is nothing newer: ClickHouse does not answer.",
    )
    found = judged(UNITS, LEVEL, units=units(400, 0.1))
    assert advice(found)[:2] == ("ship", "b")
    assert (found.comparisons[0].n_arm, found.analysis) == (400, "units")
    assert [arm.units for arm in found.arms] == [400, 400]


def test_units_are_split_by_the_weights_not_calls() -> None:
    uneven = replace(units(400, 0.0), units={"a": 400, "b": 800})
    broken = judged(UNITS, LEVEL, units=uneven)
    assert broken.recommendation == "invalid"
    assert "a 400, b 800" in broken.reason


def test_calls_that_depend_on_each_other_are_warned_of() -> None:
    assert judged(TEST, LEVEL).warning is None
    told = judged(TEST, LEVEL, units=units(100, 0.0))
    assert told.warning is not None
    assert "too narrow; set analysis to units" in told.warning
    assert told.comparisons[0].design_effect is not None
    crossed = judged(UNITS, LEVEL, units=replace(units(100, 0.0), crossed=10))
    assert crossed.warning is not None
    assert "10 units (5.0%) had calls in more than one arm" in crossed.warning


def test_three_arms_are_compared_in_pairs() -> None:
    three = replace(TEST, arms=(Arm("a", "s"), Arm("b", "l"), Arm("c", "o")))
    verdict = judged(three, [*BETTER, *calls("c", 400, quality=0.8)])
    found = {(p.arm, p.other): p for p in verdict.pairs}
    assert set(found) == {("b", "a"), ("c", "a"), ("c", "b")}
    assert found["c", "b"].verdict == "better"
    assert found["c", "b"].difference == pytest.approx(0.1, abs=0.02)
    assert judged(TEST, BETTER).pairs == ()


@pytest.mark.parametrize("arms", [2, 3, 4])
def test_beliefs_are_those_of_the_library(arms: int) -> None:
    known = [(str(i), 0.6 + 0.01 * i, 0.01 / (i + 1)) for i in range(arms)]
    wanted = bayes.beliefs([bayes.NormalPosterior(mean, error) for _, mean, error in known])
    for mine, other in zip(beliefs(goal("quality"), known, 0.05), wanted, strict=True):
        assert mine.probability_best == pytest.approx(other.best, abs=1e-3)
        assert mine.expected_loss == pytest.approx(other.loss, abs=1e-5)
        assert (mine.lower, mine.upper) == pytest.approx((other.lower, other.upper), rel=1e-9)
    lower = beliefs(goal("quality", direction="lower"), known, 0.05)
    assert lower[0].probability_best > lower[-1].probability_best


def test_a_person_decides_once_and_for_good() -> None:
    trial = add(Trial(), TEST, rows(BETTER))
    trial, verdict = judge(trial, TEST, NOW)
    human = replace(verdict, winner="a", decision="ann: too risky", decided_by="ann")
    adopted = Verdicts().adopt(trial, human)
    again = judge(adopted, TEST, NOW + timedelta(days=1))[1]
    assert (again.recommendation, again.winner, again.decided_by) == ("roll_back", "a", "ann")
    assert again.decision == "ann: too risky"
    assert Verdicts().adopt(adopted, replace(human, decided_by="bob")) is adopted
    assert Verdicts().adopt(trial, verdict) is trial
    stored = load_trial(orjson.loads(orjson.dumps(dump_trial(adopted))))
    assert stored.decision == adopted.decision


def test_state_from_before_sources_were_kept_is_read() -> None:
    trial = judge(add(Trial(), TEST, rows(BETTER)), TEST, NOW)[0]
    old = dump_trial(trial)
    for name in ("sources", "first_ms", "last_ms"):
        del old[name]
    for name in ("sources", "decided_by"):
        del old["decision"][name]
    again = load_trial(old)
    assert again.sums == trial.sums
    assert judge(again, TEST, NOW)[1].recommendation == "ship"


def test_stretches_are_bounded_and_keep_pauses() -> None:
    found: Any = ()
    for version in range(1, 3 * STRETCHES_MAX):
        found = counted(found, Position(0, 10 * version, version), version == 5)
    assert len(found) == STRETCHES_MAX
    assert found[0].test_version == 0
    assert [s.resumed for s in found].count(True) == 1
    assert found[-1].last_offset == 10 * (3 * STRETCHES_MAX - 1)


def test_weights_that_follow_results_are_warned_of() -> None:
    test = replace(TEST, allocation=Allocation("thompson"))
    assert "mix periods" in (judged(test, LEVEL).warning or "")
