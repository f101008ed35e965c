"""Several tests, planning and e-values: beside statsmodels, quadrature and simulation."""

import math

import numpy as np
import pytest
from scipy import integrate
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import NormalIndPower

from streams.statistics import evidence, planning
from streams.statistics.multiple import benjamini_hochberg, holm
from streams.statistics.online_fdr import Stream, share
from streams.statistics.planning import Plan

RNG = np.random.default_rng(20261124)


@pytest.mark.parametrize("n", [1, 2, 30])
def test_adjusted_p_values_are_statsmodels(n: int) -> None:
    p = (RNG.random(n) ** 3).tolist()
    p[-1] = p[0]
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])
    assert benjamini_hochberg(p) == pytest.approx(multipletests(p, method="fdr_bh")[1])
    assert holm([]) == benjamini_hochberg([]) == []


def test_shares_of_wealth_add_up_to_one_at_most() -> None:
    total, n = sum(share(j) for j in range(1, 200_000)), 200_000
    # The rest is the integral of 2 u^3 e^-u from u = sqrt(log n), times what it is normed by.
    u = math.sqrt(math.log(n))
    unit = share(n) * n * math.exp(u) / math.log(n)
    total += unit * 2 * math.exp(-u) * (u**3 + 3 * u**2 + 6 * u + 6)
    assert 0.95 < total <= 1


def test_online_levels_spend_no_more_than_discoveries_allow() -> None:
    """The invariant that the proof rests on: levels so far <= q * max(discoveries, 1)."""
    stream, spent = Stream(0.1), 0.0
    for i in range(500):
        spent += stream.level()
        _, stream = stream.decide(1e-9 if i % 40 == 5 else float(RNG.random()))
        assert spent <= 0.1 * max(len(stream.discoveries), 1) + 1e-12
    assert len(stream.discoveries) >= 12


def test_online_false_discoveries_stay_below_q() -> None:
    shares = []
    for _ in range(200):
        stream, false = Stream(0.2), 0
        for real in RNG.random(100) < 0.3:
            p = float(RNG.random()) * (1e-4 if real else 1.0)
            found, stream = stream.decide(p)
            false += found and not real
        shares.append(false / max(len(stream.discoveries), 1))
    assert np.mean(shares) <= 0.2


@pytest.mark.parametrize("power", [0.8, 0.95])
def test_sizes_at_one_look_are_statsmodels(power: float) -> None:
    plan = Plan(0.05, power, anytime=False)
    expected = NormalIndPower().solve_power(0.05 / 0.3, power=power, alpha=0.05)
    n = planning.sample_size(0.05, 0.3, plan)
    assert n == math.ceil(expected)
    assert planning.detectable(n, 0.3, plan) == pytest.approx(0.05, rel=0.01)
    assert plan.power_at(0.05, 0.3, n) == pytest.approx(power, abs=0.005)


def test_looking_always_costs_what_the_page_says() -> None:
    once, always = Plan(anytime=False), Plan()
    ratio = planning.sample_size(0.01, 1, always) / planning.sample_size(0.01, 1, once)
    assert ratio == pytest.approx(1.9, abs=0.02)
    n = planning.sample_size(0.01, 1, always)
    assert always.power_at(0.01, 1, n) == pytest.approx(0.8, abs=0.001)
    assert planning.deviation_of_rates(0.5, 0.5) == 0.5
    assert planning.days_left(100, 100, 0) == 0
    assert planning.days_left(100, 50, 0) is None
    assert planning.days_left(100, 50, 25) == 2


def test_evidence_combines() -> None:
    logs = [math.log(4), math.log(0.5), math.log(6)]
    assert evidence.log_product(logs) == pytest.approx(math.log(12))
    assert evidence.log_mean(logs) == pytest.approx(math.log(3.5))
    assert evidence.log_mean([1e6, 0]) == pytest.approx(1e6 - math.log(2))
    assert evidence.p_value(math.log(20)) == pytest.approx(0.05)
    assert evidence.p_value(-3) == 1


def test_calibrated_p_values_are_e_values() -> None:
    assert math.exp(evidence.log_calibrated(0.05)) == pytest.approx(1.783, abs=0.001)
    for p in (1e-12, 0.01, 0.5, 0.999, 0.99995, 1.0):
        mean, _ = integrate.quad(lambda k, p=p: k * p ** (k - 1), 0, 1)
        assert math.exp(evidence.log_calibrated(p)) == pytest.approx(mean, rel=1e-3)
    total, _ = integrate.quad(lambda p: math.exp(evidence.log_calibrated(p)), 1e-12, 1, limit=500)
    assert total <= 1
