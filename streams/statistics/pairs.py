"""Many arms: every pair or each against the baseline, corrected together; ranks with ties.

A matrix of comparisons has an interval and a p-value for each pair. Intervals hold together at
alpha (Bonferroni over the pairs), p-values are Holm's. Ranks follow: an arm is surely below each
that is shown to be better, so its rank lies between 1 + (arms shown better) and k - (arms shown
worse), for all arms together with probability 1 - alpha: Magne Mogstad, Joseph P. Romano, Azeem M.
Shaikh, Daniel Wilhelm, "Inference for ranks with applications to mobility across neighbourhoods and
academic achievement across countries", Review of Economic Studies 91, 2024. Arms that cannot be
told apart share a place.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from streams.statistics import means
from streams.statistics.estimates import Estimate, NoEstimate
from streams.statistics.moments import Moments
from streams.statistics.multiple import bonferroni_alpha, holm
from streams.statistics.sequential import Tuning, confidence_sequence

Compare = Callable[[Moments, Moments, float], Estimate | NoEstimate]
"""(arm, baseline, alpha) to arm - baseline."""
Side = Moments | NoEstimate


@dataclass(frozen=True, slots=True)
class Pair:
    """`arm` - `other`; the interval holds with those of all pairs, `p_value` is adjusted (Holm)."""

    arm: str
    other: str
    found: Estimate | NoEstimate
    p_value: float | None


@dataclass(frozen=True, slots=True)
class Place:
    """Of one arm: where it may rank, 1 being the largest. `rank`: its place with ties."""

    arm: str
    mean: float
    rank: int
    best: int
    worst: int


def anytime(planned_n: int) -> Compare:
    """Welch's difference by the confidence sequence: matrices that hold at every look."""

    def compare(arm: Moments, baseline: Moments, alpha: float) -> Estimate | NoEstimate:
        return confidence_sequence(means.difference(arm, baseline), Tuning(alpha, planned_n))

    return compare


def every_pair(
    arms: Mapping[str, Side], alpha: float = 0.05, compare: Compare = means.welch
) -> list[Pair]:
    """k (k - 1) / 2 pairs, in the order of the arms."""
    return _compared(list(combinations(arms, 2)), arms, alpha, compare)


def with_baseline(
    arms: Mapping[str, Side], baseline: str, alpha: float = 0.05, compare: Compare = means.welch
) -> list[Pair]:
    """k - 1 pairs, each of an arm and the baseline. Raises KeyError without that arm."""
    arms[baseline]
    return _compared([(arm, baseline) for arm in arms if arm != baseline], arms, alpha, compare)


def _compared(
    names: Sequence[tuple[str, str]], arms: Mapping[str, Side], alpha: float, compare: Compare
) -> list[Pair]:
    """Pairs without an estimate count in the correction: they could have had one."""
    level = bonferroni_alpha(alpha, len(names))
    found = [_one(arms[one], arms[other], level, compare) for one, other in names]
    known = [f.p_value if isinstance(f, Estimate) else 1.0 for f in found]
    adjusted = holm(known)
    return [
        Pair(one, other, f, p if isinstance(f, Estimate) else None)
        for (one, other), f, p in zip(names, found, adjusted, strict=True)
    ]


def _one(arm: Side, other: Side, alpha: float, compare: Compare) -> Estimate | NoEstimate:
    for side in (arm, other):
        if isinstance(side, NoEstimate):
            return side
    assert isinstance(arm, Moments)
    assert isinstance(other, Moments)
    return compare(arm, other, alpha)


def places(arms: Mapping[str, Side], pairs: Sequence[Pair], alpha: float = 0.05) -> list[Place]:
    """Of the arms with an estimate, the largest mean first; `pairs` are those of `every_pair`.

    An arm shares the rank of the arm above it unless some arm of that rank is shown to be larger.
    """
    larger: dict[str, set[str]] = {name: set() for name in arms}
    for pair in pairs:
        if pair.p_value is None or pair.p_value >= alpha or not isinstance(pair.found, Estimate):
            continue
        up, down = (pair.arm, pair.other) if pair.found.value > 0 else (pair.other, pair.arm)
        larger[down].add(up)
    known = {name: side.mean for name, side in arms.items() if isinstance(side, Moments)}
    order = sorted(known, key=lambda name: (-known[name], name))
    found: list[Place] = []
    for place, name in enumerate(order, start=1):
        rank = place
        if found:
            tied = [other.arm for other in found if other.rank == found[-1].rank]
            rank = place if larger[name] & set(tied) else found[-1].rank
        above = len(larger[name] & known.keys())
        below = sum(name in larger[other] for other in known)
        found.append(Place(name, known[name], rank, 1 + above, len(known) - below))
    return found
