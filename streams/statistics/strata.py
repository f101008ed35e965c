"""Less noise by strata: like compared with like, then weighted by how common each stratum is.

Post-stratification: with strata k that were fixed before the treatment (country, device, kind of
prompt), and w_k the stratum's share of all units of both arms,

    d = sum w_k (mean_1k - mean_0k),      var = sum w_k^2 (s_1k^2 / n_1k + s_0k^2 / n_0k)

Luke W. Miratrix, Jasjeet S. Sekhon, Bin Yu: "Adjusting treatment effect estimates by
post-stratification in randomized experiments", JRSS B 75, 2013; William G. Cochran, "Sampling
Techniques", 3rd ed. 1977, 5A.9. The spread between strata is gone from the error. It also undoes
Simpson's paradox: with periods as strata, weights may change from one period to the next.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from streams.statistics.estimates import NoEstimate
from streams.statistics.means import Difference
from streams.statistics.moments import Moments

Side = Moments | NoEstimate


@dataclass(frozen=True, slots=True)
class Stratified:
    """`difference`: for means.normal or sequential.confidence_sequence. `variance_left`: its
    variance over that of the plain difference; 1: no use. `left_out`: the share of units in strata
    that only one arm has, or in which an arm has no spread."""

    difference: Difference
    variance_left: float
    left_out: float


def stratified(
    strata: Mapping[str, tuple[Side, Side]], left_out_max: float = 0.05
) -> Stratified | NoEstimate:
    """From (arm, baseline) of every stratum.

    A stratum without an estimate in an arm cannot be compared. Up to a share of `left_out_max` of
    the units such strata are left out, and the estimate is of the others; beyond it there is none.
    """
    usable: list[tuple[Moments, Moments]] = []
    lost, reasons = 0, []
    for name, (arm, baseline) in strata.items():
        if isinstance(arm, Moments) and isinstance(baseline, Moments):
            usable.append((arm, baseline))
            continue
        for side, found in (("arm", arm), ("baseline", baseline)):
            if isinstance(found, NoEstimate):
                reasons.append(f"{name}, {side}: {found.reason}")
            else:
                lost += found.n
    if not usable:
        return NoEstimate("; ".join(reasons[:3]) or "no strata")
    sizes = [arm.n + baseline.n for arm, baseline in usable]
    n = sum(sizes)
    left_out = lost / (n + lost)
    if left_out > left_out_max:
        return NoEstimate(
            f"strata that cannot be compared hold {left_out:.0%} of the units: {reasons[0]}"
        )
    value = squared = 0.0
    for (arm, baseline), size in zip(usable, sizes, strict=True):
        weight = size / n
        value += weight * (arm.mean - baseline.mean)
        squared += weight * weight * (arm.mean_variance + baseline.mean_variance)
    plain = [_merged([pair[side] for pair in usable]) for side in (0, 1)]
    before = plain[0].mean_variance + plain[1].mean_variance
    if not (0 < squared < math.inf and math.isfinite(value) and before < math.inf):
        return NoEstimate("the numbers are too large or too small for double precision")
    # Values per arm that would give this error in equal arms, were arms spread as they are inside.
    inside = sum(
        size / n * (arm.variance + baseline.variance)
        for (arm, baseline), size in zip(usable, sizes, strict=True)
    )
    smaller = min(plain[0].n, plain[1].n)
    pooled = Difference(value, math.sqrt(squared), inside / squared, smaller)
    return Stratified(pooled, squared / before, left_out)


def _merged(parts: list[Moments]) -> Moments:
    total = parts[0]
    for part in parts[1:]:
        total = total.merge(part)
    return total
