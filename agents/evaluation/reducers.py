"""One value for a case from several executions of it (epochs). Pure."""

import math
import statistics
from collections import Counter
from collections.abc import Sequence

from schemas.suites import Reducer
from streams.statistics.estimates import NoEstimate


def reduce_values(values: Sequence[float | None], reducer: Reducer) -> float | NoEstimate:
    """Of a metric. None (no score) is left out; it is no 0. NoEstimate when all are None.

    mode: the most frequent value, the smallest of several. pass_at_k and pass_k are of passes, not
    of values: they take the mean here.
    """
    known = [value for value in values if value is not None]
    if not known:
        return NoEstimate("no epoch has a score")
    match reducer:
        case "median":
            return float(statistics.median(known))
        case "max":
            return max(known)
        case "mode":
            counts = Counter(known)
            return min(counts, key=lambda value: (-counts[value], value))
        case _:
            return math.fsum(known) / len(known)


def reduce_passes(
    passes: Sequence[bool | None], reducer: Reducer, k: int | None = None
) -> float | NoEstimate:
    """Of passes: a probability. None (it cannot be told) is left out.

    mean: the share that passed; median, max, mode: of passes as 1 and 0; pass_at_k and pass_k: see
    there, with k = 1 when none is given.
    """
    known = [passed for passed in passes if passed is not None]
    if not known:
        return NoEstimate("of no epoch is it known whether it passed")
    if reducer == "pass_at_k":
        return pass_at_k(len(known), sum(known), k or 1)
    if reducer == "pass_k":
        return pass_k(len(known), sum(known), k or 1)
    return reduce_values([float(passed) for passed in known], reducer)


def pass_at_k(n: int, c: int, k: int) -> float | NoEstimate:
    """That at least one of k answers passes, when c of n did: 1 - C(n-c, k) / C(n, k), unbiased.

    Mark Chen et al., "Evaluating large language models trained on code", 2021, arXiv:2107.03374,
    section 2.1. With integers, so nothing is lost to rounding.
    """
    if n < k:
        return NoEstimate(f"pass@{k} needs {k} executions at least; there are {n}")
    return 1 - math.comb(n - c, k) / math.comb(n, k)


def pass_k(n: int, c: int, k: int) -> float | NoEstimate:
    """That all of k answers pass, when c of n did: C(c, k) / C(n, k), unbiased.

    Shunyu Yao et al., "tau-bench", 2024, arXiv:2406.12045, section 4 (pass^k).
    """
    if n < k:
        return NoEstimate(f"pass^{k} needs {k} executions at least; there are {n}")
    return math.comb(c, k) / math.comb(n, k)
