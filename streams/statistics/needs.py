"""Which aggregates each method is computed from: what a partial must carry for it."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from streams.statistics import means, rates, sequential, srm

Aggregate = Literal["n", "total", "total_sq", "minimum", "maximum"]

_SPREAD: frozenset[Aggregate] = frozenset(("n", "total", "total_sq", "minimum", "maximum"))
"""minimum and maximum tell values that are all equal from values whose digits are gone, and rates
from other metrics."""

NEEDS: Mapping[Callable[..., Any], frozenset[Aggregate]] = {
    means.welch: _SPREAD,
    rates.two_proportions: _SPREAD,
    rates.chi_square: _SPREAD,
    sequential.confidence_sequence: _SPREAD,
    srm.log_e_value: frozenset(("n",)),
}
