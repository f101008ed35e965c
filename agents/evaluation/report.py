"""What a run found out: the one report that the command line and the API show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agents.evaluation.aggregate import Summary, summaries
from agents.evaluation.classified import Classified, classified
from agents.evaluation.comparison import Comparison, Version, comparisons
from agents.evaluation.judged_ranking import JudgedRanking, judged_rankings
from agents.evaluation.prices import known_usd
from schemas.evaluations import CaseResult, EvaluationRun
from schemas.suites import Reducer, Suite
from sinks.clickhouse import ClickHouse
from sinks.run_results import (
    CaseQuestion,
    ErrorExample,
    ModelTotals,
    cases,
    error_examples,
    model_totals,
    scored,
)

WORST = 10


@dataclass(frozen=True, slots=True)
class ModelReport:
    """A version of a model. `cost_usd`: of all calls, those of earlier attempts and judges too.

    `unpriced`: results of which that is not known, or not wholly: then it is at least `cost_usd`.
    `cost_usd` None: nothing of it is known. `totals` None: no result can be read yet. `summaries`:
    by slice and metric. `classified`: by metric, of suites whose answers are labels.
    `error_examples`: one of each error_type that `totals` counts.
    """

    model_id: str
    model_version: str
    cost_usd: float | None
    unpriced: int
    totals: ModelTotals | None
    summaries: tuple[Summary, ...]
    classified: tuple[Classified, ...] = ()
    error_examples: tuple[ErrorExample, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """A run's results. `stored`: how many of its results can be read so far; `finished` in `run`
    says how many there are. `comparisons`: with the run's first model. `worst`: the lowest scores.
    `rankings`: of models that a judge compared with a reference, by metric.
    """

    run: EvaluationRun
    stored: int
    models: tuple[ModelReport, ...]
    comparisons: tuple[Comparison, ...]
    worst: tuple[CaseResult, ...]
    rankings: tuple[JudgedRanking, ...] = ()


def report(clickhouse: ClickHouse, run: EvaluationRun, suite: Suite | None) -> Report:
    """From what ClickHouse holds. `suite` None: it was deleted, and epochs are reduced by the mean.

    Raises Backpressure, SinkBroken.
    """
    reducer: Reducer = "mean" if suite is None else suite.reducer
    results = list(scored(clickhouse, run.org_id, run.run_id))
    totals = {
        (t.model_id, t.model_version): t for t in model_totals(clickhouse, run.org_id, run.run_id)
    }
    found = summaries(results, reducer, None if suite is None else suite.reducer_k)
    by_model: dict[Version, list[Summary]] = {}
    for each in found:
        by_model.setdefault((each.model_id, each.model_version), []).append(each)
    examples = error_examples(clickhouse, run.org_id, run.run_id) if run.errors else []
    return Report(
        run=run,
        stored=len(results),
        models=_models(run, totals, by_model, classified(results), examples),
        comparisons=comparisons(
            results, (run.models[0].model_id, run.models[0].model_version), reducer
        ),
        worst=tuple(
            cases(
                clickhouse,
                CaseQuestion(run.org_id, run.run_id, order="worst", limit=WORST),
            )
        ),
        rankings=judged_rankings(results, suite),
    )


def _models(
    run: EvaluationRun,
    totals: Mapping[Version, ModelTotals],
    by_model: Mapping[Version, list[Summary]],
    labelled: Mapping[Version, tuple[Classified, ...]],
    examples: Sequence[ErrorExample],
) -> tuple[ModelReport, ...]:
    return tuple(
        ModelReport(
            model_id=each.model_id,
            model_version=each.model_version,
            cost_usd=known_usd(each.cost_nanos, each.unpriced),
            unpriced=each.unpriced,
            totals=totals.get((each.model_id, each.model_version)),
            summaries=tuple(by_model.get((each.model_id, each.model_version), ())),
            classified=labelled.get((each.model_id, each.model_version), ()),
            error_examples=tuple(
                example
                for example in examples
                if (example.model_id, example.model_version) == (each.model_id, each.model_version)
            ),
        )
        for each in run.models
    )
