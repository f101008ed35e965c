"""Beliefs, group-sequential bounds, rankings and bandit weights: beside quadrature and tables."""

import math

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import integrate, stats

from streams.statistics import bandit, ranking, spending
from streams.statistics.bandit import Logged
from streams.statistics.bayes import BetaPosterior, NormalPosterior, Posterior, beliefs
from streams.statistics.estimates import NoEstimate
from streams.statistics.exact import Interval
from streams.statistics.rates import Rate

RNG = np.random.default_rng(20261124)


@pytest.mark.parametrize("narrow", [0.5, 1e-4])
def test_two_normal_beliefs_have_their_closed_form(narrow: float) -> None:
    a, b = NormalPosterior(1.0, narrow), NormalPosterior(1.4, 0.8)
    one, two = beliefs([a, b])
    gap, spread = 0.4, math.hypot(narrow, 0.8)
    assert two.best == pytest.approx(stats.norm.cdf(gap / spread), abs=1e-6)
    assert one.best + two.best == pytest.approx(1, abs=1e-6)
    # E max(0, N(gap, spread)) and the same of the other sign.
    loss = gap * stats.norm.cdf(gap / spread) + spread * stats.norm.pdf(gap / spread)
    assert one.loss == pytest.approx(loss, rel=1e-6)
    assert two.loss == pytest.approx(loss - gap, rel=1e-6)
    assert (one.lower, one.upper) == pytest.approx(stats.norm.interval(0.95, 1.0, narrow))


def test_beta_beliefs_are_those_of_quadrature_and_add_up() -> None:
    rates = [Rate(100, 3), Rate(120, 9), Rate(4000, 200)]
    found = beliefs([BetaPosterior.of(rate) for rate in rates])
    assert sum(belief.best for belief in found) == pytest.approx(1, abs=1e-6)
    beta = [stats.beta(1 + r.ones, 1 + r.n - r.ones) for r in rates]
    best, _ = integrate.quad(
        lambda x: beta[1].pdf(x) * beta[0].cdf(x) * beta[2].cdf(x), 0, 0.5, points=[0.03, 0.08]
    )
    greatest, _ = integrate.quad(
        lambda x: 1 - math.prod(b.cdf(x) for b in beta), 0, 1, points=[0.05, 0.1, 0.2], limit=200
    )
    assert found[1].best == pytest.approx(best, abs=1e-6)
    assert found[0].loss == pytest.approx(greatest - beta[0].mean(), rel=1e-6)
    (alone,) = beliefs([BetaPosterior(2, 3)])
    assert alone.best == pytest.approx(1)
    assert alone.loss == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("kind", ["obrien_fleming", "pocock"])
@pytest.mark.parametrize("fractions", [[0.2, 0.5, 0.6, 1.0], [0.25, 0.499, 0.5, 1.0]])
def test_bounds_spend_what_the_multivariate_normal_says(
    kind: spending.Spending, fractions: list[float]
) -> None:
    found = spending.bounds(fractions, 0.05, kind)
    assert spending.spent(1.0, 0.05, kind) == pytest.approx(0.05)
    for looks in range(2, 5):
        t = np.array(fractions[:looks])
        correlation = np.sqrt(np.minimum.outer(t, t) / np.maximum.outer(t, t))
        limit = np.array(found[:looks])
        inside = float(
            stats.multivariate_normal.cdf(
                limit, np.zeros(looks), correlation, abseps=1e-7, lower_limit=-limit, rng=1
            )
        )
        expected = spending.spent(fractions[looks - 1], 0.05, kind)
        assert 1 - inside == pytest.approx(expected, abs=2e-5)
    assert spending.bounds(fractions[:2], 0.05, kind) == pytest.approx(found[:2])


def test_one_look_is_the_plain_test_and_bad_fractions_are_refused() -> None:
    assert spending.bounds([1.0], 0.05, "pocock") == pytest.approx([1.959964], abs=1e-6)
    for wrong in ([], [0.5, 0.5], [0.0, 1.0], [0.5, 1.1], [0.9, 0.2], [0.5, 0.5001]):
        with pytest.raises(ValueError, match="fractions"):
            spending.bounds(wrong, 0.05, "pocock")


def test_the_first_of_many_looks_may_have_nothing_to_spend() -> None:
    """20 looks of 20 comparisons: less than double precision holds in a tail."""
    found = spending.bounds([look / 20 for look in range(1, 21)], 0.0025, "obrien_fleming")
    assert found == sorted(found, reverse=True)
    assert 12 >= found[0] > found[5] > found[-1] > stats.norm.ppf(1 - 0.00125)


def test_bradley_terry_is_statsmodels_logistic_regression() -> None:
    wins = np.array([[0, 30, 44, 9], [20, 0, 31, 5], [6, 19, 0, 2], [30, 41, 60, 0]], float)
    found = ranking.bradley_terry(list("abcd"), wins)
    assert not isinstance(found, NoEstimate)
    rows, wons, totals = [], [], []
    for i in range(4):
        for j in range(i):
            rows.append([(k == i) - (k == j) for k in range(1, 4)])
            wons.append(wins[i, j])
            totals.append(wins[i, j] + wins[j, i])
    ends = np.column_stack([wons, np.array(totals) - wons])
    fit = sm.GLM(ends, np.array(rows, float), family=sm.families.Binomial()).fit()
    expected = np.r_[0.0, fit.params]
    by_model = {s.model: s for s in found}
    elo = np.array([by_model[m].elo for m in "abcd"])
    scaled = ranking.ELO_PER_UNIT * (expected - expected.mean())
    assert elo - 1000 == pytest.approx(scaled, abs=1e-5)
    contrast = np.eye(4) - 0.25
    covariance = contrast[:, 1:] @ fit.cov_params() @ contrast[:, 1:].T
    half = 1.959964 * ranking.ELO_PER_UNIT * math.sqrt(covariance[2, 2])
    assert by_model["c"].upper - by_model["c"].elo == pytest.approx(half, rel=1e-5)
    assert [s.model for s in found] == sorted("abcd", key=lambda m: -by_model[m].elo)


def test_models_that_cannot_be_told_apart_share_a_rank() -> None:
    wins = np.array([[0, 52, 90], [48, 0, 90], [10, 10, 0]], float)
    found = ranking.bradley_terry(["a", "b", "c"], wins)
    assert not isinstance(found, NoEstimate)
    assert [(s.model, s.rank) for s in found] == [("a", 1), ("b", 1), ("c", 3)]
    unbeaten = np.array([[0, 5, 5], [0, 0, 3], [0, 3, 0]], float)
    assert isinstance(ranking.bradley_terry(["a", "b", "c"], unbeaten), NoEstimate)
    with pytest.raises(ValueError, match="shape"):
        ranking.bradley_terry(["a"], wins)


def test_thompson_weights_are_the_chances_to_be_best_above_the_floor() -> None:
    arms: list[Posterior] = [NormalPosterior(m, 0.1) for m in (0.5, 0.6, 0.1)]
    best = [belief.best for belief in beliefs(arms)]
    found = bandit.thompson(arms, 0.05)
    assert sum(found) == pytest.approx(1)
    assert found[2] == 0.05
    assert found[0] / found[1] == pytest.approx(best[0] / best[1])
    assert bandit.floored([1.0, 0.0, 0.0], 1 / 3) == pytest.approx([1 / 3] * 3)
    assert bandit.floored([0.9, 0.06, 0.04], 0.05) == pytest.approx(
        [0.95 * 0.9 / 0.96, 0.95 * 0.06 / 0.96, 0.05]
    )
    with pytest.raises(ValueError, match="no choice"):
        bandit.floored([0.5, 0.5], 0.6)


def test_top_two_gives_the_leader_half_and_its_challenger_the_most_of_the_rest() -> None:
    arms: list[Posterior] = [NormalPosterior(m, 0.05) for m in (0.9, 0.6, 0.5)]
    found = bandit.top_two(arms, 0.0, np.random.default_rng(1))
    assert sum(found) == pytest.approx(1)
    assert found[0] == pytest.approx(0.5, abs=0.01)
    assert found[1] > 0.4
    assert bandit.top_two(arms, 0.0, np.random.default_rng(1)) == found
    assert bandit.top_two(arms[:1], 0.0, np.random.default_rng(1)) == [1.0]


def test_counterfactual_means_cover_what_other_weights_would_have_given() -> None:
    means, propensity, other = np.array([0.2, 0.7]), np.array([0.8, 0.2]), np.array([0.1, 0.9])
    truth, missed = float(means @ other), 0
    for _ in range(200):
        chosen = RNG.choice(2, 600, p=propensity)
        reward = RNG.random(600) < means[chosen]
        ratios = (other / propensity)[chosen]
        parts = [
            Logged.of_calls(ratios[half].tolist(), reward[half].tolist())
            for half in (slice(0, 200), slice(200, 600))
        ]
        found = bandit.counterfactual(parts[0] + parts[1])
        assert isinstance(found, Interval)
        missed += not found.lower <= truth <= found.upper
    assert missed / 200 < 0.1
    assert isinstance(bandit.counterfactual(Logged()), NoEstimate)
    assert isinstance(bandit.counterfactual(Logged.of_calls([1.0] * 50, [0.0] * 50)), NoEstimate)
