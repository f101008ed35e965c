"""How far the scores of a run, such as a judge's, can be trusted: held against people's labels of
some of its answers. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from agents.evaluation.agreement import Agreement, agreement
from agents.evaluation.intervals import MeanResult
from agents.evaluation.judged_means import judged_mean
from schemas.evaluations import CaseResult
from streams.statistics.estimates import NoEstimate


@dataclass(frozen=True, slots=True)
class PeoplesLabel:
    """What people say of an answer, on the metric's own scale. None: of every model, or epoch."""

    case_id: str
    value: float
    model_id: str | None = None
    epoch: int | None = None


@dataclass(frozen=True, slots=True)
class Labelled:
    """One model. `scored`: answers with a score of the metric; `labelled`: those of them with a
    label.

    `agreement`: of scores and labels, weighted linearly. `mean`: what people would say of all
    answers, by the scores and by what is known of their error.
    """

    model_id: str
    model_version: str
    scored: int
    labelled: int
    agreement: Agreement | NoEstimate
    mean: MeanResult


def labelled(
    results: Iterable[CaseResult], labels: Sequence[PeoplesLabel], metric: str
) -> tuple[Labelled, ...]:
    """By model, in order. Of several labels of one answer the last counts."""
    by_answer = {(each.case_id, each.model_id, each.epoch): each.value for each in labels}
    models: dict[tuple[str, str], list[tuple[float, float | None]]] = {}
    for result in results:
        score = next((s.value for s in result.scores if s.metric == metric), None)
        if score is not None:
            pairs = models.setdefault((result.model_id, result.model_version), [])
            pairs.append((score, _label(result, by_answer)))
    return tuple(_of_model(*name, pairs) for name, pairs in sorted(models.items()))


def _label(
    result: CaseResult, by_answer: Mapping[tuple[str, str | None, int | None], float]
) -> float | None:
    """The label that names the answer most exactly."""
    for model in (result.model_id, None):
        for epoch in (result.epoch, None):
            found = by_answer.get((result.case_id, model, epoch))
            if found is not None:
                return found
    return None


def _of_model(model_id: str, version: str, pairs: Sequence[tuple[float, float | None]]) -> Labelled:
    both = [(score, label) for score, label in pairs if label is not None]
    judged, human = [score for score, _ in both], [label for _, label in both]
    rest = [score for score, label in pairs if label is None]
    return Labelled(
        model_id,
        version,
        len(pairs),
        len(both),
        agreement(judged, human, sorted({*judged, *human}), "linear"),
        judged_mean(human, judged, rest),
    )
