"""Is every unit in one arm, and do the arms get the units that their weights say?

A unit that was served by two arms carries the effect of both: it makes arms more alike. Some
crossing is normal (a shared device, a lost cookie); `tolerance` says how much. Both questions are
answered at every look: units that cross by streams.statistics.exact.rate_sequence, counts by
streams.statistics.srm, which is right for units and not for the many calls of one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from streams.statistics import srm
from streams.statistics.estimates import NoEstimate
from streams.statistics.exact import Interval, rate_sequence
from streams.statistics.rates import Rate


@dataclass(frozen=True, slots=True)
class Assignment:
    """`crossed`: the share of units in more than one arm, as an anytime interval. `crossing`:
    whether it is shown to be above the tolerance. `split_p`: anytime p-value of 'units are split as
    the weights say'. `dilution`: the least share of a true effect that is left if a crossed unit
    shows none of it."""

    crossed: Interval
    crossing: bool
    split_p: float
    dilution: float

    def sound(self, alpha: float = 0.001) -> bool:
        """Whether neither is shown to be wrong."""
        return not self.crossing and self.split_p >= alpha


def assignment(
    units: Sequence[int],
    shares: Sequence[float],
    crossed: int,
    tolerance: float = 0.01,
    alpha: float = 0.001,
) -> Assignment | NoEstimate:
    """From the units of each arm (each counted in the arm it was first seen in), the arms' shares
    (positive, adding up to 1) and how many of the units were seen in another arm too.

    Raises ValueError when more units crossed than there are.
    """
    n = sum(units)
    if not 0 <= crossed <= n:
        raise ValueError(f"{crossed} of {n} units in more than one arm")
    if not n:
        return NoEstimate("no units")
    found = rate_sequence(Rate(n, crossed), alpha)
    split_p = srm.p_value(srm.log_e_value(units, shares))
    return Assignment(found, found.lower > tolerance, split_p, 1 - found.upper)
