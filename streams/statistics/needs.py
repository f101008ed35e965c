"""Which aggregates each method is computed from: what a partial must carry for it."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from streams.statistics import (
    adjustment,
    bayes,
    clusters,
    drift,
    equivalence,
    exact,
    means,
    offpolicy,
    one_sided,
    pairs,
    pieces,
    quantiles,
    ranks,
    rates,
    regression,
    sequential,
    spending,
    srm,
    strata,
    winsor,
)

Aggregate = Literal["n", "total", "total_sq", "minimum", "maximum", "bins", "counts"]

_SPREAD: frozenset[Aggregate] = frozenset(("n", "total", "total_sq", "minimum", "maximum"))
"""minimum and maximum tell values that are all equal from values whose digits are gone, and rates
from other metrics."""

_SKETCH: frozenset[Aggregate] = frozenset(("bins", "counts"))

UNIT_NEEDS: Mapping[Callable[..., Any], frozenset[str]] = {
    clusters.moments: frozenset(("units", "total", "size", "total_sq", "size_sq", "cross")),
    clusters.design_effect: frozenset(
        ("units", "total", "size", "total_sq", "size_sq", "cross", "event_sq")
    ),
    adjustment.cuped: frozenset(("units", "total", "size", "total_sq", "size_sq", "cross")),
    pieces.effects: frozenset(("units", "totals", "sizes", "products")),
    regression.adjusted: frozenset(("n", "means", "products")),
    offpolicy.inverse_propensity: frozenset(("n", "weight", "weight_sq", "reward", "reward_sq")),
}
"""What is summed over units or calls elsewhere: fields of UnitSums, Pieces, Cross and Logged."""

NEEDS: Mapping[Callable[..., Any], frozenset[Aggregate]] = {
    means.welch: _SPREAD,
    means.student: _SPREAD,
    means.relative: _SPREAD,
    rates.two_proportions: _SPREAD,
    rates.chi_square: _SPREAD,
    rates.fisher: _SPREAD,
    ranks.mann_whitney: _SKETCH,
    ranks.superiority: _SKETCH,
    winsor.winsorised: _SPREAD | _SKETCH,
    strata.stratified: _SPREAD,
    pairs.every_pair: _SPREAD,
    pairs.with_baseline: _SPREAD,
    drift.novelty: _SPREAD,
    bayes.beliefs: _SPREAD,
    spending.repeated: _SPREAD,
    sequential.confidence_sequence: _SPREAD,
    exact.rate_sequence: _SPREAD,
    exact.bounded_sequence: _SPREAD,
    one_sided.lower_bound: _SPREAD,
    equivalence.equivalence: _SPREAD,
    equivalence.non_inferiority: _SPREAD,
    quantiles.fixed: _SKETCH,
    quantiles.anytime: _SKETCH,
    quantiles.difference: _SKETCH,
    srm.log_e_value: frozenset(("n",)),
}
