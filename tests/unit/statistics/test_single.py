"""Where one mean lies: textbook intervals, and no interval where nothing can be said."""

import numpy as np
import pytest
from scipy import stats

from streams.statistics.estimates import NoEstimate
from streams.statistics.exact import Interval
from streams.statistics.single import interval
from streams.statistics.sums import Sums


def test_a_mean_lies_where_students_t_says() -> None:
    values = [2.1, 3.7, 1.9, 4.4, 2.8]
    found = interval(Sums.of_values(values), 0.05)
    assert isinstance(found, Interval)
    low, high = stats.t.interval(0.95, 4, loc=np.mean(values), scale=stats.sem(values))
    assert [found.lower, found.upper] == pytest.approx([low, high])
    assert found.value == pytest.approx(np.mean(values))


def test_a_rate_lies_where_wilson_says_also_without_a_success() -> None:
    found = interval(Sums.of_values([0.0] * 20), 0.05)
    assert isinstance(found, Interval)
    known = stats.binomtest(0, 20).proportion_ci(0.95, "wilson")
    assert [found.lower, found.upper] == pytest.approx([0.0, known.high])


@pytest.mark.parametrize("values", [[], [3.5], [3.5, 3.5]])
def test_without_spread_there_is_no_interval(values: list[float]) -> None:
    assert isinstance(interval(Sums.of_values(values), 0.05), NoEstimate)
