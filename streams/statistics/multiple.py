"""Several comparisons at once."""


def bonferroni_alpha(alpha: float, comparisons: int) -> float:
    """The level of each of `comparisons` so that all hold together at `alpha`.

    Carlo Emilio Bonferroni, 1936: holds whatever the dependence (arms share their baseline, metrics
    their events) and, level by level, for intervals as well as for p-values at every look.
    """
    return alpha / max(comparisons, 1)


def bonferroni_p(p_value: float, comparisons: int) -> float:
    """The p-value to compare with the level of all comparisons together."""
    return min(1.0, p_value * max(comparisons, 1))
