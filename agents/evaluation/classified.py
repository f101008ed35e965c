"""How a run's models classified: accuracy, macro F1 and confusion by metric. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agents.evaluation.comparison import Version
from agents.evaluation.confusion import LabelRates, of_scores
from schemas.evaluations import CaseResult, Score
from streams.statistics.estimates import NoEstimate


@dataclass(frozen=True, slots=True)
class Classified:
    """The answers of one model to one `classification` scorer, those of every epoch.

    `answers`: those that were scored; without any there is no Classified. `labels`, `counts` and
    `unknown` as in Confusion.
    """

    metric: str
    answers: int
    accuracy: float | NoEstimate
    macro_f1: float | NoEstimate
    rates: tuple[LabelRates, ...]
    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    unknown: tuple[int, ...]


def classified(results: Iterable[CaseResult]) -> Mapping[Version, tuple[Classified, ...]]:
    """By model, in the order of the metrics' names; models without such a score are left out."""
    found: dict[Version, dict[str, list[Score]]] = {}
    for result in results:
        for score in result.scores:
            if score.scorer == "classification":
                metrics = found.setdefault((result.model_id, result.model_version), {})
                metrics.setdefault(score.metric, []).append(score)
    by_model = {
        version: tuple(
            each
            for metric, scores in sorted(metrics.items())
            if (each := _classified(metric, scores)).answers
        )
        for version, metrics in found.items()
    }
    return {version: each for version, each in by_model.items() if each}


def _classified(metric: str, scores: list[Score]) -> Classified:
    found = of_scores(scores)
    return Classified(
        metric=metric,
        answers=found.total,
        accuracy=found.accuracy,
        macro_f1=found.macro_f1,
        rates=found.rates(),
        labels=found.labels,
        counts=found.counts,
        unknown=found.unknown,
    )
