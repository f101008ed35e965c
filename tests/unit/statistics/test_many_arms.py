"""Pairs, places with ties, late rewards, periods, looks and combined evidence."""

import math

import numpy as np
import pytest
from scipy import stats

from streams.statistics import bandit, delayed, evidence, looks, multiple, pairs, planning, spending
from streams.statistics.bayes import BetaPosterior, NormalPosterior
from streams.statistics.delayed import Ages, Delays, Period
from streams.statistics.estimates import Estimate, NoEstimate
from streams.statistics.evidence import Combined
from streams.statistics.means import Difference, welch
from streams.statistics.moments import Moments
from streams.statistics.sequential import Tuning, always_valid_p
from streams.statistics.sequential import evidence as of_difference

RNG = np.random.default_rng(20261124)
ARMS: dict[str, Moments | NoEstimate] = {
    "a": Moments(400, 1.00, 399.0),
    "b": Moments(400, 1.05, 399.0),
    "c": Moments(400, 0.50, 399.0),
    "d": NoEstimate("no values"),
}


def test_every_pair_has_holms_p_and_bonferronis_interval() -> None:
    found = pairs.every_pair(ARMS)
    assert [(p.arm, p.other) for p in found] == [
        ("a", "b"), ("a", "c"), ("a", "d"), ("b", "c"), ("b", "d"), ("c", "d"),
    ]  # fmt: skip
    known = {(p.arm, p.other): p for p in found}
    one, other = ARMS["a"], ARMS["c"]
    assert isinstance(one, Moments)
    assert isinstance(other, Moments)
    assert known["a", "c"].found == welch(one, other, 0.05 / 6)
    plain = [p.found.p_value if isinstance(p.found, Estimate) else 1.0 for p in found]
    assert known["b", "c"].p_value == multiple.holm(plain)[3]
    assert known["a", "d"].p_value is None
    assert isinstance(known["a", "d"].found, NoEstimate)


def test_against_the_baseline_there_are_fewer() -> None:
    found = pairs.with_baseline(ARMS, "c", compare=pairs.anytime(400))
    assert [p.arm for p in found] == ["a", "b", "d"]
    assert isinstance(found[0].found, Estimate)
    with pytest.raises(KeyError):
        pairs.with_baseline(ARMS, "x")


def test_arms_that_cannot_be_told_apart_share_a_place() -> None:
    found = pairs.places(ARMS, pairs.every_pair(ARMS))
    assert [(p.arm, p.rank, p.best, p.worst) for p in found] == [
        ("b", 1, 1, 2), ("a", 1, 1, 2), ("c", 3, 3, 3),
    ]  # fmt: skip
    nothing: list[pairs.Pair] = []
    assert [p.rank for p in pairs.places(ARMS, nothing)] == [1, 1, 1]


def test_equal_arms_are_falsely_told_apart_at_most_alpha_of_the_time() -> None:
    false = 0
    for _ in range(300):
        arms: dict[str, Moments | NoEstimate] = {}
        for name in "abcd":
            values = RNG.normal(size=60)
            arms[name] = Moments(60, values.mean(), float(((values - values.mean()) ** 2).sum()))
        false += any(p.best > 1 or p.worst < 4 for p in pairs.places(arms, pairs.every_pair(arms)))
    assert false / 300 <= 0.05 + 3.1 * math.sqrt(0.05 * 0.95 / 300)


def test_delays_are_the_share_that_has_come() -> None:
    found = Delays.of([10.0, 20.0, 30.0, 40.0, 900.0], horizon_s=100)
    assert found is not None
    assert [found.share(age) for age in (0, 10, 25, 40, 1e9)] == [0, 0.25, 0.5, 1, 1]
    assert Delays.of([], 100) is None
    assert Delays.of([200.0], 100) is None
    many = Delays.of(RNG.exponential(50, 5000).tolist(), 1000)
    assert many is not None
    assert len(many.edges_s) < 100
    assert many.share(50) == pytest.approx(1 - math.exp(-1), abs=0.03)


def test_calls_without_a_reward_yet_are_no_failures() -> None:
    delays = Delays.of(RNG.exponential(100, 5000).tolist(), 2000)
    assert delays is not None
    rate, ages = 0.3, np.arange(5.0, 400.0, 10.0)
    come = RNG.random((len(ages), 200)) < rate * (1 - np.exp(-ages / 100))[:, None]
    arm = Ages(ages.tolist(), [200] * len(ages), int(come.sum()))
    naive = arm.rewards / (200 * len(ages))
    belief = delayed.late_belief(arm, delays)
    assert naive < 0.25
    assert belief.mean == pytest.approx(rate, abs=0.02)
    assert delayed.late_belief(Ages(), delays) == BetaPosterior(1.0, 1.0)
    assert delayed.late_belief(Ages((1.0,), (2,), 2), delays).b >= 1
    assert sum(bandit.thompson([belief, BetaPosterior(1, 1)], 0.1)) == pytest.approx(1)


def test_periods_with_other_weights_are_made_alike() -> None:
    """The arm had most of its calls in the hard period."""
    easy, hard = Moments(100, 0.9, 1.0), Moments(900, 0.5, 9.0)
    found = delayed.standardised([Period(easy, 1000), Period(hard, 1000)])
    assert isinstance(found, Moments)
    assert found.mean == pytest.approx(0.7)
    error = 0.25 * (easy.mean_variance + hard.mean_variance)
    assert found.mean_variance == pytest.approx(error)
    newest = delayed.standardised([Period(easy, 1000), Period(hard, 1000)], keep=0.01)
    assert isinstance(newest, Moments)
    assert newest.mean == pytest.approx(0.5, abs=0.01)
    lone = delayed.standardised([Period(easy, 10), Period(NoEstimate("no values"), 990)])
    assert isinstance(lone, Moments)
    assert lone.mean == 0.9
    assert isinstance(delayed.standardised([]), NoEstimate)
    with pytest.raises(ValueError, match="factor"):
        delayed.standardised([Period(easy, 1)], keep=0)


def test_a_course_of_looks_is_what_simulation_finds() -> None:
    fractions, limits = looks.limits("obrien_fleming", 4, 0.05)
    steps = RNG.normal(2.5 * 0.25, 0.5, size=(40_000, 4))
    z = np.cumsum(steps, axis=1) / np.sqrt(fractions)
    hit = np.abs(z) > limits
    first = np.where(hit.any(axis=1), hit.argmax(axis=1) + 1, 4) / 4
    found = looks.course(fractions, limits, 2.5)
    assert found.power == pytest.approx(hit.any(axis=1).mean(), abs=0.01)
    assert found.expected == pytest.approx(first.mean(), abs=0.01)
    assert looks.course(fractions, limits, 0.0).power == pytest.approx(0.05, abs=1e-3)


@pytest.mark.parametrize("method", looks.METHODS)
def test_needed_drift_gives_the_power(method: looks.Method) -> None:
    drift = looks.needed_drift(method, 10, 0.05, 0.9)
    assert looks.course(*looks.limits(method, 10, 0.05), drift).power == pytest.approx(0.9)
    if method == "fixed":
        assert drift == pytest.approx(1.959964 + 1.281552, abs=1e-3)


def test_methods_stand_beside_each_other() -> None:
    asked = planning.Question(0.1, 1.0, per_day=500, at_most=1000, seen=200)
    rows = {row.method: row for row in planning.beside(asked)}
    fixed, anytime = rows["fixed"], rows["anytime"]
    assert fixed.n == planning.sample_size(0.1, 1.0, planning.Plan(anytime=False))
    assert fixed.expected_n == fixed.n
    assert fixed.days == pytest.approx((fixed.n - 200) / 500)
    assert fixed.n < anytime.expected_n < anytime.n < 1.9 * fixed.n
    assert fixed.power is not None
    assert anytime.power is not None
    assert fixed.power > anytime.power
    open_end = planning.beside(planning.Question(0.1, 1.0))[0]
    assert (open_end.power, open_end.detectable, open_end.days) == (None, None, None)


def test_repeated_intervals_and_normal_priors() -> None:
    bound = spending.bounds([0.5, 1.0], 0.05, "obrien_fleming")[0]
    lower, upper = spending.repeated(1.0, 0.5, bound)
    assert (lower, upper) == pytest.approx((1 - 0.5 * bound, 1 + 0.5 * bound))
    found = Moments(100, 2.0, 99.0)
    flat, narrow = NormalPosterior.of(found), NormalPosterior.of(found, (0.0, 0.1))
    assert (flat.mean, flat.deviation) == pytest.approx((2.0, 0.1))
    assert (narrow.mean, narrow.deviation) == pytest.approx((1.0, 0.1 / math.sqrt(2)))


def test_evidence_of_a_look_is_the_reciprocal_of_its_p() -> None:
    found, tuning = Difference(0.5, 0.1, 500.0, 500), Tuning(0.05, 500)
    log_e = of_difference(found, tuning)
    assert isinstance(log_e, float)
    p_value = always_valid_p(5.0, 500 * tuning.rho_squared)
    assert evidence.p_value(log_e) == pytest.approx(p_value)
    assert isinstance(of_difference(Difference(0.5, 0.1, 50.0, 50), tuning), NoEstimate)


def test_evidence_across_segments_is_never_worth_more_than_it_is() -> None:
    """E-values of true nulls average 1 at most, whatever is made of them."""
    tuning = Tuning(0.05, 500)
    z = RNG.normal(size=(4000, 3))
    x = 500 * tuning.rho_squared
    logs = z**2 * x / (2 * (1 + x)) - 0.5 * math.log1p(x)
    found = [evidence.across(row) for row in logs.tolist()]
    combined = [c for c in found if isinstance(c, Combined)]
    assert np.mean([math.exp(c.together) for c in combined]) < 1.3
    assert np.mean([math.exp(c.somewhere) for c in combined]) < 1.3
    assert np.mean([c.p_value < 0.05 for c in combined]) < 0.05
    assert isinstance(evidence.across([]), NoEstimate)
    assert isinstance(evidence.across([math.inf]), NoEstimate)
    one = evidence.across([5.0, 0.0, 0.0])
    assert isinstance(one, Combined)
    assert one.together == pytest.approx(5.0)
    mean = (math.exp(5) + 2) / 3
    assert one.somewhere == pytest.approx(math.log((math.exp(5) + mean) / 2))


def test_offline_evidence_adds_to_online() -> None:
    both = evidence.offline_then_online(0.001, math.log(5))
    assert both == pytest.approx(evidence.log_calibrated(0.001) + math.log(5))
    assert evidence.log_weighted([1.0, 2.0], [3, 1]) == pytest.approx(
        math.log(0.75 * math.e + 0.25 * math.e**2)
    )
    assert evidence.log_weighted([-math.inf], [1]) == -math.inf
    assert evidence.p_value(1e9) > 0


def test_e_values_have_their_own_procedure() -> None:
    logs = [math.log(80), math.log(45), 0.0, -2.0]
    adjusted = multiple.e_benjamini_hochberg(logs)
    assert adjusted[:2] == pytest.approx([4 / 90, 4 / 90])
    expected = stats.false_discovery_control([1 / 80, 1 / 45, 1.0, 1.0])
    assert adjusted == pytest.approx(expected)
