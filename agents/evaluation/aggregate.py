"""What a run's results come to, per model, metric, split and tag. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from agents.evaluation.intervals import MeanResult, mean_interval
from agents.evaluation.outcome import PASS_RATE, SCORE
from agents.evaluation.reducers import reduce_passes, reduce_values
from schemas.evaluations import CaseResult
from schemas.suites import Reducer
from streams.statistics.estimates import NoEstimate

SliceKind = Literal["all", "split", "tag"]


@dataclass(frozen=True, slots=True)
class Slice:
    """Some of the cases: all, those of a split, or those with a tag."""

    kind: SliceKind = "all"
    name: str = ""


@dataclass(frozen=True, slots=True)
class Summary:
    """One metric of one model over a slice. `cases` have a value, `missing` have none.

    `mean` is over cases, each reduced over its epochs, with an interval by `clusters`.
    """

    model_id: str
    model_version: str
    slice: Slice
    metric: str
    cases: int
    missing: int
    clusters: int
    mean: MeanResult


@dataclass(frozen=True, slots=True)
class _Case:
    """All epochs of one case of one model."""

    cluster: str
    slices: tuple[Slice, ...]
    epochs: tuple[CaseResult, ...]


def summaries(
    results: Iterable[CaseResult],
    reducer: Reducer = "mean",
    k: int | None = None,
    alpha: float = 0.05,
) -> tuple[Summary, ...]:
    """Of every model, slice and metric, in that order; metrics by name, SCORE and PASS_RATE last.

    Cases without a cluster are one each. A metric that some case has and another has not counts as
    missing there. pass_at_k and pass_k reduce passes; scores are then reduced by the mean.
    """
    models: dict[tuple[str, str], dict[str, list[CaseResult]]] = {}
    for result in results:
        cases = models.setdefault((result.model_id, result.model_version), {})
        cases.setdefault(result.case_id, []).append(result)
    return tuple(
        summary
        for (model_id, version), cases in sorted(models.items())
        for summary in _of_model(
            model_id, version, [_case(r) for r in cases.values()], reducer, k, alpha
        )
    )


def _case(epochs: Sequence[CaseResult]) -> _Case:
    first = epochs[0]
    slices = [Slice()]
    if first.split:
        slices.append(Slice("split", first.split))
    slices += [Slice("tag", tag) for tag in first.tags]
    # A case's own id cannot be taken for a cluster's name.
    cluster = f"cluster {first.cluster}" if first.cluster is not None else f"case {first.case_id}"
    return _Case(cluster, tuple(slices), tuple(epochs))


def _of_model(
    model_id: str,
    version: str,
    cases: Sequence[_Case],
    reducer: Reducer,
    k: int | None,
    alpha: float,
) -> Iterator[Summary]:
    metrics = sorted({s.metric for case in cases for e in case.epochs for s in e.scores})
    order = {"all": 0, "split": 1, "tag": 2}
    slices = sorted(
        {s for case in cases for s in case.slices}, key=lambda s: (order[s.kind], s.name)
    )
    for part in slices:
        chosen = [case for case in cases if part in case.slices]
        for metric in (*metrics, SCORE, PASS_RATE):
            found = [(_value(case, metric, reducer, k), case.cluster) for case in chosen]
            known = [(v, cluster) for v, cluster in found if not isinstance(v, NoEstimate)]
            values, clusters = [v for v, _ in known], [cluster for _, cluster in known]
            is_share = all(0 <= value <= 1 for value in values)
            yield Summary(
                model_id,
                version,
                part,
                metric,
                len(values),
                len(chosen) - len(values),
                len(set(clusters)),
                mean_interval(values, clusters, alpha, is_share),
            )


def _value(case: _Case, metric: str, reducer: Reducer, k: int | None) -> float | NoEstimate:
    if metric == PASS_RATE:
        return reduce_passes([epoch.passed for epoch in case.epochs], reducer, k)
    if metric == SCORE:
        return reduce_values([epoch.score for epoch in case.epochs], reducer)
    values = [
        next((s.value for s in epoch.scores if s.metric == metric), None) for epoch in case.epochs
    ]
    return reduce_values(values, reducer)
