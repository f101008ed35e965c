"""Sample-ratio mismatch: do the arms get the traffic that their weights say? Valid at every look.

Michael Lindon, Alan Malek: "Anytime-valid inference for multinomial count data", NeurIPS 2022, eq.
8: with Dirichlet(c * shares) as the alternative, the marginal likelihood ratio

    E = Gamma(c) / Gamma(c + n) * prod_i Gamma(c s_i + x_i) / Gamma(c s_i) / s_i^x_i

of the counts x under shares s has expectation 1 at any stopping time if the shares are right, so
P(E ever exceeds 1/p) <= p (Ville). The concentration c says how large a mismatch is expected. We
take the mean of E over CONCENTRATIONS, which has expectation 1 too: it finds gross mismatches in
dozens of events and small ones in millions.
"""

import math
from collections.abc import Sequence

from streams.statistics.estimates import SMALLEST

CONCENTRATIONS = (1e1, 1e2, 1e3, 1e4, 1e5)


def log_e_value(counts: Sequence[int], shares: Sequence[float]) -> float:
    """log of the evidence against `shares` (positive, summing to 1), from the counts of events.

    Assumes that events are assigned independently; events of one unit are not, see docs.
    """
    logs = [log_e_of(counts, shares, c) for c in CONCENTRATIONS]
    top = max(logs)
    return top + math.log(sum(math.exp(v - top) for v in logs) / len(logs))


def log_e_of(counts: Sequence[int], shares: Sequence[float], concentration: float) -> float:
    """The same with one concentration."""
    log_e = math.lgamma(concentration) - math.lgamma(concentration + sum(counts))
    for count, share in zip(counts, shares, strict=True):
        prior = concentration * share
        log_e += math.lgamma(prior + count) - math.lgamma(prior) - count * math.log(share)
    return log_e


def p_value(log_e: float) -> float:
    """The p-value that is valid at every look: 1 / E, at most 1 and above 0."""
    return max(math.exp(-max(log_e, 0.0)), SMALLEST)
