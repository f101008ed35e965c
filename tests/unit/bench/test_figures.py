"""The bench's arithmetic: what a figure is held against, and how runs are compared."""

import pytest

from bench.figures import Target, median, merged, percentile, ratio, slope


def test_a_percentile_is_a_value_that_was_seen() -> None:
    values = [float(v) for v in range(1, 101)]
    assert percentile(values, 0.99) == 99
    assert percentile(values, 0.5) == 50
    assert percentile([7.0], 0.99) == 7


def test_no_figure_is_better_than_a_made_up_one() -> None:
    with pytest.raises(ValueError, match="of nothing"):
        percentile([], 0.5)
    with pytest.raises(ValueError, match="of nothing"):
        median([])
    with pytest.raises(ValueError, match="of nothing"):
        ratio([], [])


def test_ratios_are_taken_pair_by_pair() -> None:
    assert ratio([10, 1, 30], [5, 1, 10]) == 2
    with pytest.raises(ValueError, match="shorter"):
        ratio([1, 2], [1])


def test_a_slope_is_growth_per_unit() -> None:
    assert slope([0, 1, 2], [5, 7, 9]) == pytest.approx(2)


def test_nan_meets_no_target() -> None:
    assert not Target("at least", 1).met(float("nan"))
    assert not Target("at most", 1).met(float("nan"))
    assert Target("at most", 1).met(1)


def test_a_part_that_ran_again_replaces_only_its_own_figures() -> None:
    before = {"a.x": 1, "a.gone": 2, "b.y": 3}
    assert merged(before, ["a"], {"a.x": 9}) == {"a.x": 9, "b.y": 3}
