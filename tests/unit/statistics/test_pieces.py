"""Effects by piece of time, of units that come back."""

import math

import numpy as np
import pytest

from streams.statistics import clusters, drift, means, pieces
from streams.statistics.drift import Drift
from streams.statistics.estimates import NoEstimate
from streams.statistics.moments import Moments
from streams.statistics.pieces import Effects, Pieces

RNG = np.random.default_rng(20261128)
K = 4


def side(effects: list[float], n: int = 400, kept: float = 0.7) -> tuple[list[list[float]], ...]:
    """Totals and sizes of units with a mean of their own that wanders; some stay away."""
    usual = RNG.normal(0, 2, (n, 1)) + RNG.normal(0, 0.5, (n, K)).cumsum(axis=1)
    sizes = RNG.integers(1, 6, (n, K)) * (RNG.random((n, K)) < kept)
    values = usual + np.array(effects) + RNG.normal(0, 1, (n, K))
    return (values * sizes).tolist(), sizes.astype(float).tolist()


def of(effects: list[float], n: int = 400) -> Pieces:
    return Pieces.of_units(*side(effects, n))


def test_each_piece_is_analysed_by_units_and_errors_covary_as_residuals_do() -> None:
    one, other = side([0.0] * K), side([0.5] * K)
    found = pieces.effects(Pieces.of_units(*other), Pieces.of_units(*one))
    assert isinstance(found, Effects)
    variances = np.zeros((K, K))
    for totals, sizes in (one, other):
        x, m = np.array(totals), np.array(sizes)
        n = (m > 0).sum(axis=0)
        e = (x - m * (x.sum(axis=0) / m.sum(axis=0))) / m.sum(axis=0) * np.sqrt(n / (n - 1))
        variances += e.T @ e
    errors = np.sqrt(variances.diagonal())
    assert [d.error for d in found.differences] == pytest.approx(errors)
    assert found.correlation == pytest.approx(variances / np.outer(errors, errors))
    assert found.correlation[0, 1] > 0.3, "units that come back are alike"
    x, m = np.array(other[0]), np.array(other[1])
    mine = [i for i in range(len(m)) if m[i, 2] > 0]
    alone = clusters.moments(clusters.UnitSums.of_units(list(x[mine, 2]), list(m[mine, 2])))
    assert isinstance(alone, Moments)
    base = clusters.moments(Pieces.of_units(*one).of(2))
    assert isinstance(base, Moments)
    wanted = means.difference(alone, base)
    assert found.differences[2].value == pytest.approx(wanted.value)
    assert found.differences[2].error == pytest.approx(wanted.error)


def test_arms_that_are_split_anywhere_add_up_and_windows_are_pieces() -> None:
    totals, sizes = side([0.0] * K, 60)
    whole = Pieces.of_units(totals, sizes)
    parts = Pieces.of_units(totals[:17], sizes[:17]) + Pieces.of_units(totals[17:], sizes[17:])
    assert parts.products == pytest.approx(whole.products)
    assert (parts.units == whole.units).all()
    inner = whole.window(1, 2)
    cut = Pieces.of_units([t[1:3] for t in totals], [m[1:3] for m in sizes])
    assert inner.products == pytest.approx(cut.products)
    assert inner.of(1).cross == pytest.approx(whole.of(2).cross)


def test_novelty_of_dependent_periods_is_generalised_least_squares() -> None:
    found = pieces.effects(of([0.9, 0.6, 0.3, 0.0], 1500), of([0.0] * K, 1500))
    assert isinstance(found, Effects)
    judged = drift.novelty(found.differences, 0.05, found.correlation)
    assert isinstance(judged, Drift)
    errors = np.array([d.error for d in found.differences])
    values = np.array([d.value for d in found.differences])
    inverse = np.linalg.inv(found.correlation * np.outer(errors, errors))
    design = np.stack([np.ones(K), np.arange(K)], axis=1)
    left = np.linalg.inv(design.T @ inverse @ design)
    slope = (left @ design.T @ inverse @ values)[1]
    assert judged.trend.value == pytest.approx(slope)
    half = (judged.trend.upper - judged.trend.lower) / 2
    assert half == pytest.approx(1.959963985 * math.sqrt(left[1, 1]))
    ones = np.ones(K)
    effect = (ones @ inverse @ values) / (ones @ inverse @ ones)
    assert judged.effect == pytest.approx(effect)
    assert judged.fades()


def test_units_that_wander_seldom_look_like_novelty() -> None:
    """Their own slow changes correlate neighbours: as independent, this errs too often or never."""
    trended = apart = 0
    for _ in range(400):
        found = pieces.effects(of([0.0] * K, 150), of([0.0] * K, 150))
        assert isinstance(found, Effects)
        judged = drift.novelty(found.differences, 0.05, found.correlation)
        assert isinstance(judged, Drift)
        trended += judged.trend.p_value < 0.05
        apart += judged.same_p < 0.05
    # 5 % of 400 and three standard deviations, either way.
    assert 7 <= trended <= 34
    assert 7 <= apart <= 37


def test_pieces_without_enough_units_say_which() -> None:
    totals, sizes = side([0.0] * K)
    none_late = [[*m[:3], 0.0] for m in sizes]
    gone = [[*t[:3], 0.0] for t in totals]
    found = pieces.effects(Pieces.of_units(gone, none_late), of([0.0] * K))
    assert isinstance(found, NoEstimate)
    assert found.reason == "0 units of the arm have a value in piece 4 of 4: 50 are needed"
    same = Pieces.of_units([[1.0] * 3] * 60, [[1.0] * 3] * 60)
    flat = pieces.effects(same, same)
    assert isinstance(flat, NoEstimate)
    assert "piece 1 of 3: no spread between 60 units" in flat.reason
