"""Which aggregates each method is computed from: what a partial must carry for it."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from streams.statistics import (
    equivalence,
    exact,
    means,
    one_sided,
    quantiles,
    rates,
    sequential,
    srm,
)

Aggregate = Literal["n", "total", "total_sq", "minimum", "maximum", "bins", "counts"]

_SPREAD: frozenset[Aggregate] = frozenset(("n", "total", "total_sq", "minimum", "maximum"))
"""minimum and maximum tell values that are all equal from values whose digits are gone, and rates
from other metrics."""

_SKETCH: frozenset[Aggregate] = frozenset(("bins", "counts"))

NEEDS: Mapping[Callable[..., Any], frozenset[Aggregate]] = {
    means.welch: _SPREAD,
    rates.two_proportions: _SPREAD,
    rates.chi_square: _SPREAD,
    sequential.confidence_sequence: _SPREAD,
    exact.rate_sequence: _SPREAD,
    exact.bounded_sequence: _SPREAD,
    one_sided.lower_bound: _SPREAD,
    equivalence.equivalence: _SPREAD,
    equivalence.non_inferiority: _SPREAD,
    quantiles.fixed: _SKETCH,
    quantiles.anytime: _SKETCH,
    srm.log_e_value: frozenset(("n",)),
}
