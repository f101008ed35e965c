"""Models ranked by a judge that said of each answer whether it is better than the reference. Pure.

What is stored of a pairwise judgement is one model against the reference answer of the case, never
two models against each other. So models are told apart by way of the reference: each model's
strength (Bradley-Terry) is what its wins and losses against it say.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from agents.evaluation.scorers.judging import LLM_JUDGE, JudgeOptions
from schemas.evaluations import CaseResult, Score
from schemas.suites import Suite
from streams.statistics.estimates import NoEstimate
from streams.statistics.ranking import bradley_terry

LABELS = ("win", "loss", "tie", "inconsistent")
"""What tells a pairwise judgement from a grade."""
BASIS = (
    "every judgement is of a model against the reference answer: models are compared by way of it. "
    "Epochs of a case are one judgement, their mean; an inconsistent one (the judge named another "
    "winner when the answers swapped places) is a tie. Each interval, and each pair of neighbours, "
    "holds for itself at 95 %, and takes judgements as independent, also those of one case"
)
Version = tuple[str, str]


@dataclass(frozen=True, slots=True)
class JudgedModel:
    """A model, or the reference (`model_version` None), at its place.

    `judged`: cases; `wins`, `losses`, `ties`: of these, against the reference (of the reference:
    against all models). `inconsistent`: judgements of them. `share`: of the points, a tie half.
    `elo`: 1000 is the mean; None: no strength, see `note`. Models with the same `rank`, from 1,
    are not distinguishable from their neighbours; None: not ranked.
    """

    model_id: str
    model_version: str | None
    judged: int
    wins: int
    losses: int
    ties: int
    inconsistent: int
    share: float
    elo: float | None = None
    lower: float | None = None
    upper: float | None = None
    rank: int | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class JudgedRanking:
    """Strongest first, then those that cannot be ranked. `why_none`: why nobody is ranked."""

    metric: str
    reference: str
    models: tuple[JudgedModel, ...]
    basis: str
    why_none: str | None = None


def judged_rankings(
    results: Iterable[CaseResult], suite: Suite | None, alpha: float = 0.05
) -> tuple[JudgedRanking, ...]:
    """By metric, of those on which a judge compared answers of two models or more.

    `suite` None: deleted, so that the name of the field with the reference is taken as usual.
    """
    metrics: dict[str, dict[Version, dict[str, list[Score]]]] = {}
    for result in results:
        for score in result.scores:
            if score.scorer != LLM_JUDGE.name or score.label not in LABELS or score.value is None:
                continue
            cases = metrics.setdefault(score.metric, {}).setdefault(
                (result.model_id, result.model_version), {}
            )
            cases.setdefault(result.case_id, []).append(score)
    return tuple(
        _ranking(metric, _reference(metric, suite), models, alpha)
        for metric, models in sorted(metrics.items())
        if len(models) > 1
    )


def _ranking(
    metric: str,
    reference: str,
    models: Mapping[Version, Mapping[str, list[Score]]],
    alpha: float,
) -> JudgedRanking:
    told = [_counted(version, cases) for version, cases in sorted(models.items())]
    told.append(_other_side(reference, told))
    # Who only won, or only lost, is infinitely strong, or weak, as far as the judgements say.
    open_ended = {i: _one_sided(each) for i, each in enumerate(told[:-1])}
    ranked = [i for i in range(len(told)) if open_ended.get(i) is None]
    wins = np.zeros((len(ranked), len(ranked)))
    for place, i in enumerate(ranked[:-1]):
        wins[place, -1] = told[i].share * told[i].judged
        wins[-1, place] = told[i].judged - wins[place, -1]
    found = bradley_terry([str(i) for i in ranked], wins, alpha)
    unranked = [replace(told[i], note=note) for i, note in open_ended.items() if note]
    if isinstance(found, NoEstimate):
        shown = (*unranked, told[-1])
        return JudgedRanking(metric, reference, shown, BASIS, found.reason)
    strengths = [
        replace(told[int(s.model)], elo=s.elo, lower=s.lower, upper=s.upper, rank=s.rank)
        for s in found
    ]
    return JudgedRanking(metric, reference, (*strengths, *unranked), BASIS)


def _counted(version: Version, cases: Mapping[str, list[Score]]) -> JudgedModel:
    values = [
        float(np.mean([s.value for s in scores if s.value is not None]))
        for scores in cases.values()
    ]
    return JudgedModel(
        *version,
        judged=len(values),
        wins=sum(value > 0.5 for value in values),
        losses=sum(value < 0.5 for value in values),
        ties=sum(value == 0.5 for value in values),
        inconsistent=sum(s.label == "inconsistent" for scores in cases.values() for s in scores),
        share=float(np.mean(values)),
    )


def _other_side(reference: str, models: Iterable[JudgedModel]) -> JudgedModel:
    models = list(models)
    judged = sum(each.judged for each in models)
    return JudgedModel(
        model_id=reference,
        model_version=None,
        judged=judged,
        wins=sum(each.losses for each in models),
        losses=sum(each.wins for each in models),
        ties=sum(each.ties for each in models),
        inconsistent=sum(each.inconsistent for each in models),
        share=1 - sum(each.share * each.judged for each in models) / judged,
    )


def _one_sided(model: JudgedModel) -> str | None:
    if model.share == 1:
        return "won every judgement: stronger than the reference, by how much is not known"
    if model.share == 0:
        return "lost every judgement: weaker than the reference, by how much is not known"
    return None


def _reference(metric: str, suite: Suite | None) -> str:
    """The field of the cases with the other answer."""
    for use in () if suite is None else suite.scorers:
        if use.scorer == LLM_JUDGE.name and (use.metric or LLM_JUDGE.name) == metric:
            opponent = json.loads(use.options).get("opponent")
            if isinstance(opponent, str):
                return opponent
    return str(JudgeOptions.model_fields["opponent"].default)
