"""Models compared on the same cases of a run: paired, so that what makes a case hard drops out.

Pure.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from agents.evaluation.reducers import reduce_passes, reduce_values
from schemas.evaluations import CaseResult
from schemas.suites import Reducer
from streams.statistics.clusters import UnitSums, moments
from streams.statistics.estimates import Estimate, NoEstimate
from streams.statistics.paired import discordant, mcnemar, paired_t, signed_rank

Version = tuple[str, str]
"""model_id, model_version."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """`model` minus `baseline` over the cases that have a score of both.

    `difference`: of mean scores, with its interval at level 1 - alpha by clusters of cases that
    share a source. `signed_rank_p`: that differences are symmetric about 0. `only_model`,
    `only_baseline`: cases that just one passed, and `mcnemar_p`: that both pass equally often.
    `left_out`: cases of either that have no score of both.
    """

    model: Version
    baseline: Version
    cases: int
    left_out: int
    difference: Estimate | NoEstimate
    signed_rank_p: float | NoEstimate
    only_model: int
    only_baseline: int
    mcnemar_p: float | NoEstimate


def comparisons(
    results: Iterable[CaseResult],
    baseline: Version,
    reducer: Reducer = "mean",
    alpha: float = 0.05,
) -> tuple[Comparison, ...]:
    """Every other model against the baseline, by name."""
    models: dict[Version, dict[str, list[CaseResult]]] = {}
    for result in results:
        cases = models.setdefault((result.model_id, result.model_version), {})
        cases.setdefault(result.case_id, []).append(result)
    base = models.get(baseline, {})
    return tuple(
        _compared(version, cases, baseline, base, reducer, alpha)
        for version, cases in sorted(models.items())
        if version != baseline
    )


def _compared(
    model: Version,
    mine: Mapping[str, Sequence[CaseResult]],
    baseline: Version,
    theirs: Mapping[str, Sequence[CaseResult]],
    reducer: Reducer,
    alpha: float,
) -> Comparison:
    scores, clusters = [], []
    passes = []
    for case_id in sorted(mine.keys() & theirs.keys()):
        ours, others = mine[case_id], theirs[case_id]
        pair = tuple(reduce_values([r.score for r in side], reducer) for side in (ours, others))
        if not any(isinstance(value, NoEstimate) for value in pair):
            scores.append(pair)
            clusters.append(ours[0].cluster or f"case {case_id}")
        passed = [reduce_passes([r.passed for r in side], "mode") for side in (ours, others)]
        if not any(isinstance(value, NoEstimate) for value in passed):
            passes.append([value == 1.0 for value in passed])
    values = np.array(scores, np.float64).reshape(-1, 2)
    sides = np.array(passes, np.bool_).reshape(-1, 2)
    found = discordant(sides[:, 0], sides[:, 1])
    return Comparison(
        model=model,
        baseline=baseline,
        cases=len(scores),
        left_out=len(mine.keys() | theirs.keys()) - len(scores),
        difference=_difference(values[:, 0] - values[:, 1], clusters, alpha),
        signed_rank_p=signed_rank(values[:, 0], values[:, 1]),
        only_model=found.model,
        only_baseline=found.baseline,
        mcnemar_p=mcnemar(found),
    )


def _difference(
    differences: np.ndarray[tuple[int], np.dtype[np.float64]], clusters: Sequence[str], alpha: float
) -> Estimate | NoEstimate:
    totals: dict[str, list[float]] = {}
    for value, cluster in zip(differences.tolist(), clusters, strict=True):
        totals.setdefault(cluster, []).append(value)
    found = moments(
        UnitSums.of_units(
            [math.fsum(v) for v in totals.values()], [float(len(v)) for v in totals.values()]
        )
    )
    return found if isinstance(found, NoEstimate) else paired_t(found, alpha)
