"""Mistakes in how a suite uses scorers, and which stored scores are out of date."""

import re
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from agents.evaluation.outcome import PASS_RATE, SCORE
from agents.evaluation.scorers import registry
from agents.evaluation.scorers.base import Absent
from agents.evaluation.scorers.run import prepared
from schemas.evaluations import Score
from schemas.suites import Dataset, ScorerUse, Suite

METRIC_NAME = re.compile(r"[a-z][a-z0-9_.]{0,63}")
RESERVED = frozenset({"score", "pass_rate"})


class Mistake(NamedTuple):
    """Where it stands in the suite, and what is wrong and what to do."""

    path: tuple[str | int, ...]
    text: str


def mistakes(uses: Sequence[ScorerUse], fields: Collection[str] | None = None) -> list[Mistake]:
    """What is wrong with a suite's uses of scorers; none when they can be used as they are.

    `fields`: of the dataset; None: not known. Loads the scorers' modules, others' too.
    """
    return list(_mistakes(uses, fields))


def _mistakes(uses: Sequence[ScorerUse], fields: Collection[str] | None) -> Iterator[Mistake]:
    seen = set()
    for i, use in enumerate(uses):
        metric = use.metric or use.scorer
        if metric in seen:
            text = f"a second score named {metric}; give one of them another metric"
            yield Mistake(("scorers", i, "metric"), text)
        seen.add(metric)
        if not METRIC_NAME.fullmatch(metric) or metric in RESERVED:
            yield Mistake(("scorers", i, "metric"), f"{metric!r} cannot name a metric; set metric")
        ready = prepared(use.scorer, use.options)
        if isinstance(ready, Absent):
            where = "options" if _is_known(use.scorer) else "scorer"
            yield Mistake(("scorers", i, where), ready.reason)
            continue
        scorer, options = ready
        if use.weight > 0 and len(uses) > 1 and not scorer.is_share(options):
            text = (
                f"the values of {use.scorer} lie outside [0, 1] and would swamp the others in the "
                "weighted mean; give it weight 0, or bounds"
            )
            yield Mistake(("scorers", i, "weight"), text)
        reference = getattr(options, "reference", None)
        if fields is not None and _needs_reference(use.scorer, options) and reference not in fields:
            text = (
                f"{use.scorer}: the dataset has no field {reference!r} (it has "
                f"{', '.join(sorted(fields))}); set the option reference"
            )
            yield Mistake(("scorers", i, "options"), text)


def of_suite(suite: Suite, dataset: Dataset | None) -> list[Mistake]:
    """As `mistakes`. `dataset` None: it is not there, which is told elsewhere."""
    return mistakes(suite.scorers, None if dataset is None else dataset.fields)


def shares(suite: Suite) -> frozenset[str]:
    """Of what answers to the suite can have a value of, all that lies in [0, 1]."""
    ready = [(use, prepared(use.scorer, use.options)) for use in suite.scorers]
    found = {
        use: not isinstance(scorer, Absent) and scorer[0].is_share(scorer[1])
        for use, scorer in ready
    }
    metrics = {use.metric or use.scorer for use, is_share in found.items() if is_share}
    averaged = all(is_share for use, is_share in found.items() if use.weight > 0)
    return frozenset({*metrics, PASS_RATE, *([SCORE] if averaged else [])})


def _is_known(name: str) -> bool:
    try:
        registry.scorer(name)
    except (registry.UnknownScorer, registry.BrokenScorer):
        return False
    return True


def _needs_reference(scorer: str, options: object) -> bool:
    if scorer == "llm_judge":
        return False
    if scorer == "regex":
        return getattr(options, "group", None) is not None
    return getattr(options, "reference", None) is not None


def outdated(
    scores: Sequence[Score], uses: Sequence[ScorerUse], retry_absent: bool = False
) -> tuple[ScorerUse, ...]:
    """The uses for which a stored result has no score of today's scorer and version.

    Such a result is scored again from its stored output. `retry_absent`: also where there is a
    score without a value, as when a judge or embedder was not there.
    """
    stored = {(s.metric, s.scorer): s for s in scores}
    found = []
    for use in uses:
        score = stored.get((use.metric or use.scorer, use.scorer))
        stale = score is None or score.scorer_version != version(use)
        if stale or (retry_absent and score is not None and score.value is None):
            found.append(use)
    return tuple(found)


def version(use: ScorerUse) -> str:
    """Of the scorer as it is today; '' when it cannot be used, as in the scores it then gives."""
    ready = prepared(use.scorer, use.options)
    return "" if isinstance(ready, Absent) else ready[0].version
