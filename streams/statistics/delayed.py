"""Rewards that come late, and weights that change by period: what a bandit may learn from.

Late rewards. A call without a reward yet is not a failure. With tau(a) the share of rewards that
have come a seconds after the call, an arm that made calls of ages a_i and got s rewards so far is
worth sum tau(a_i) calls: Claire Vernade, Olivier Cappe, Vianney Perchet, "Stochastic bandit models
for delayed conversions", UAI 2017, section 4. tau is estimated from calls old enough that all their
rewards have come, or were too late to count.

Periods. While weights change, arms are measured under different traffic. Within a period they are
not: an arm's mean is the mean over periods, each weighted by all arms' calls in it (direct
standardisation). Older periods can count less: Aurelien Garivier, Eric Moulines, "On upper
confidence bound policies for switching bandit problems", ALT 2011, discounts by a factor a period.
"""

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass

from streams.statistics.bayes import BetaPosterior
from streams.statistics.estimates import NoEstimate
from streams.statistics.moments import Moments


@dataclass(frozen=True, slots=True)
class Delays:
    """How late rewards come: sorted `edges_s` (above 0) and the share that came by each."""

    edges_s: Sequence[float]
    shares: Sequence[float]

    @classmethod
    def of(cls, delays_s: Sequence[float], horizon_s: float, bins: int = 64) -> "Delays | None":
        """From the delays of the rewards of calls that are older than `horizon_s`, after which a
        reward does not count any more. None without rewards: then nothing is known."""
        counted = sorted(delay for delay in delays_s if 0 <= delay <= horizon_s)
        if not counted:
            return None
        step = max(1, len(counted) // bins)
        edges = [*counted[step - 1 :: step]]
        if edges[-1] < counted[-1]:
            edges.append(counted[-1])
        unique = sorted(set(edges))
        shares = [bisect.bisect_right(counted, edge) / len(counted) for edge in unique]
        return cls(tuple(unique), tuple(shares))

    def share(self, age_s: float) -> float:
        """Of the rewards that will come, those that have come `age_s` after the call."""
        place = bisect.bisect_right(self.edges_s, age_s)
        return self.shares[place - 1] if place else 0.0


@dataclass(frozen=True, slots=True)
class Ages:
    """Calls of one arm by age, and their rewards (0/1) so far. Zero: Ages()."""

    ages_s: Sequence[float] = ()
    calls: Sequence[int] = ()
    rewards: int = 0


def settled(arm: Ages, delays: Delays) -> float:
    """How many calls the arm's are worth: those whose reward would have come by now."""
    return math.fsum(
        count * delays.share(age) for age, count in zip(arm.ages_s, arm.calls, strict=True)
    )


def late_belief(
    arm: Ages, delays: Delays, prior: tuple[float, float] = (1.0, 1.0)
) -> BetaPosterior:
    """What is believed of the arm's rate of rewards, for bandit.thompson and top_two."""
    failures = max(settled(arm, delays) - arm.rewards, 0.0)
    return BetaPosterior(prior[0] + arm.rewards, prior[1] + failures)


@dataclass(frozen=True, slots=True)
class Period:
    """One arm in one period: its values, and `traffic`: the calls of all arms in it."""

    arm: Moments | NoEstimate
    traffic: int


def standardised(periods: Sequence[Period], keep: float = 1.0) -> Moments | NoEstimate:
    """The arm's mean as if it had had the same share of every period's traffic.

    Periods in order, the newest last; each period before it counts `keep` (0 to 1) times as much.
    `n` of the result is what the periods are worth together: n of equal weights, fewer otherwise.
    A period in which the arm has no estimate is left out, the newest one included.
    """
    if not 0 < keep <= 1:
        raise ValueError(f"keep is a factor in (0, 1], not {keep:g}")
    weights = [period.traffic * keep**age for age, period in enumerate(reversed(periods))][::-1]
    usable = [
        (period.arm, weight)
        for period, weight in zip(periods, weights, strict=True)
        if isinstance(period.arm, Moments) and weight > 0
    ]
    total = math.fsum(weight for _, weight in usable)
    if not usable:
        return NoEstimate("no period with two values of the arm")
    mean = math.fsum(weight / total * found.mean for found, weight in usable)
    squared = math.fsum((weight / total) ** 2 * found.mean_variance for found, weight in usable)
    variance = math.fsum(weight / total * found.variance for found, weight in usable)
    if not (0 < squared < math.inf and math.isfinite(mean)):
        return NoEstimate("the numbers are too large or too small for double precision")
    n = max(2, math.floor(variance / squared))
    return Moments(n, mean, squared * n * (n - 1))
