"""Several comparisons at once."""

import math
from collections.abc import Sequence


def bonferroni_alpha(alpha: float, comparisons: int) -> float:
    """The level of each of `comparisons` so that all hold together at `alpha`.

    Carlo Emilio Bonferroni, 1936: holds whatever the dependence (arms share their baseline, metrics
    their events) and, level by level, for intervals as well as for p-values at every look.
    """
    return alpha / max(comparisons, 1)


def bonferroni_p(p_value: float, comparisons: int) -> float:
    """The p-value to compare with the level of all comparisons together."""
    return min(1.0, p_value * max(comparisons, 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values, in the order given: below alpha, at most alpha of any false finding.

    Sture Holm, Scandinavian Journal of Statistics 6, 1979: under any dependence, and never weaker
    than Bonferroni. Anytime p-values stay valid at every look.
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, running = [0.0] * len(p_values), 0.0
    for place, i in enumerate(order):
        running = max(running, p_values[i] * (len(p_values) - place))
        adjusted[i] = min(running, 1.0)
    return adjusted


def e_benjamini_hochberg(log_e: Sequence[float]) -> list[float]:
    """The least q at which each is a discovery, from e-values: whatever they depend on each other.

    Ruodu Wang, Aaditya Ramdas, "False discovery rate control with e-values", JRSS B 84, 2022: the
    BH procedure on 1 / e. Tests of the same calls need this, or Holm.
    """
    return benjamini_hochberg([math.exp(-max(min(v, 700.0), 0.0)) for v in log_e])


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values, in the order given: of those below q, a share of at most q is expected to
    be false.

    Yoav Benjamini, Yosef Hochberg, JRSS B 57, 1995. Assumes independence or positive dependence.
    """
    total = len(p_values)
    order = sorted(range(total), key=lambda i: p_values[i], reverse=True)
    adjusted, running = [0.0] * total, 1.0
    for place, i in enumerate(order):
        running = min(running, p_values[i] * total / (total - place))
        adjusted[i] = running
    return adjusted
