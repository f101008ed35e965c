"""The verdict of an A/B test: its comparisons, and the decision that is kept once it is made.

A decision is kept, whatever comes later, but for two things: traffic that is not split by the
weights makes the test invalid, at any time and for good; and a person may decide otherwise, once.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

import polars as pl

from agents.policy.beliefs import beliefs, credible
from agents.policy.comparisons import Context, comparison
from agents.policy.decision import conclude, deadline, mismatch
from agents.policy.look import Look
from agents.policy.pairs import pairs
from agents.policy.recommend import advise, warning
from agents.policy.sources import Position, Stretches
from agents.policy.trial import Cell, Decision, Trial, add, dump_trial, load_trial
from agents.policy.units import UnitFindings
from schemas.entities import AbTest
from schemas.records import AbStatus, AbVerdict, ArmBelief, ArmCount, Comparison
from streams.statistics import srm
from streams.statistics.estimates import Estimate
from streams.statistics.multiple import benjamini_hochberg, holm
from streams.statistics.version import VERSION

SRM_ALPHA = 0.001
"""A test is invalid for good below this: one in a thousand good ones, however often one looks."""
MULTIPLICITY = (
    "anytime intervals and p-values: Bonferroni over arms and metrics of a role; adjusted "
    "p-values: Holm, of secondary metrics Benjamini-Hochberg; pairs: Bonferroni over all pairs"
)
NO_UNITS = UnitFindings(failure="this worker does not ask ClickHouse for sums by unit")


class Verdicts:
    """The statistics behind the monitor (agents.ab_parts.Statistics): states are `Trial` values."""

    def zero(self, test: AbTest) -> Trial:  # noqa: ARG002  Statistics' signature
        return Trial()

    def apply(self, state: Trial, test: AbTest, rows: pl.DataFrame, at: Position) -> Trial:
        return add(state, test, rows, at)

    def judge(
        self, state: Trial, test: AbTest, now: datetime, units: UnitFindings | None
    ) -> tuple[Trial, AbVerdict]:
        return judge(state, test, now, units)

    def wakes_at(self, state: Trial, test: AbTest) -> datetime | None:
        return deadline(test, state) if state.decision is None else None

    def began_at(self, state: Trial) -> datetime | None:
        return _began_at(state)

    def adopt(self, state: Trial, verdict: AbVerdict) -> Trial:
        known = state.decision
        if verdict.decided_by is None or (known is not None and known.decided_by is not None):
            return state
        return replace(state, decision=decided_by(verdict))

    def dump(self, state: Trial) -> Mapping[str, Any]:
        return dump_trial(state)

    def load(self, value: Mapping[str, Any]) -> Trial:
        return load_trial(value)


def judge(
    trial: Trial, test: AbTest, now: datetime, units: UnitFindings | None = None
) -> tuple[Trial, AbVerdict]:
    """The verdict at `now`, and the trial that remembers what was decided.

    Numbers depend on the sums alone (of calls or, where the test says so, of units), not on earlier
    looks. `srm_p_value` is None until a pane is complete (agents.policy.split).
    """
    # Verdicts are stored to the millisecond, and must come out the same from there.
    now = now.replace(microsecond=now.microsecond // 1000 * 1000)
    found = NO_UNITS if units is None else units
    look = Look.at(test, trial, found)
    counts, log_e = _split(trial, test, found)
    sources = (*trial.sources, *found.sources)
    decided = _decision(trial, look, found, _Split(counts, log_e), sources, now)
    status: AbStatus = "stopped" if test.status in ("stopped", "archived") else "collecting"
    if decided is not None:
        status = "invalid" if decided.kind == "invalid" else "decided"
    advice = advise(look, trial, found, decided, now)
    total = sum(arm.weight for arm in test.arms)
    verdict = AbVerdict(
        ab_test_id=test.ab_test_id,
        org_id=test.org_id,
        capability=test.capability,
        as_of=now,
        status=status,
        winner=None if decided is None else decided.winner,
        decided_at=None if decided is None else decided.decided_at,
        decision=None if decided is None else decided.text,
        srm_p_value=None if log_e is None else srm.p_value(log_e),
        alpha=test.alpha,
        arms=tuple(
            ArmCount(
                arm.arm,
                arm.model_id,
                trial.calls(arm.arm),
                found.units.get(arm.arm),
                arm.weight / total,
            )
            for arm in test.arms
        ),
        comparisons=_comparisons(look, found),
        recommendation=advice.recommendation,
        reason=advice.reason,
        analysis=test.analysis,
        warning=warning(look, trial, found),
        multiplicity=MULTIPLICITY,
        started_at=_began_at(trial),
        pairs=pairs(look),
        beliefs=_beliefs(look),
        sources=sources,
        decision_sources=() if decided is None else decided.sources,
        decided_by=None if decided is None else decided.decided_by,
        statistics_version=VERSION,
    )
    split = trial.split if test.status == "running" else trial.split.pause()
    return replace(trial, decision=decided, split=split), verdict


def decided_by(verdict: AbVerdict) -> Decision | None:
    """The decision that a verdict carries."""
    if verdict.decided_at is None:
        return None
    kind: Any = "no_difference" if verdict.winner is None else "winner"
    if verdict.status == "invalid":
        kind = "invalid"
    text = verdict.decision or ""
    sources, who = verdict.decision_sources, verdict.decided_by
    return Decision(kind, verdict.winner, text, verdict.decided_at, sources, who)


def _began_at(trial: Trial) -> datetime | None:
    return None if trial.first_ms is None else datetime.fromtimestamp(trial.first_ms / 1000, UTC)


class _Split(NamedTuple):
    """Who was counted against the weights, and the evidence."""

    counts: Mapping[str, int]
    log_e: float | None


def _split(trial: Trial, test: AbTest, units: UnitFindings) -> _Split:
    """By calls; by units where these are what is independent.

    Units are known since the start only, so there is nothing to say once weights have changed.
    """
    if test.analysis == "events":
        return _Split(trial.split.complete(), trial.split.log_e_value())
    counts = {arm.arm: units.units.get(arm.arm, 0) for arm in test.arms}
    if not any(counts.values()) or trial.split.since_ms is not None:
        return _Split(counts, None)
    total = sum(arm.weight for arm in test.arms)
    shares = [arm.weight / total for arm in test.arms]
    return _Split(counts, srm.log_e_value(list(counts.values()), shares))


def _decision(
    trial: Trial,
    look: Look,
    units: UnitFindings,
    split: _Split,
    sources: Stretches,
    now: datetime,
) -> Decision | None:
    before, test = trial.decision, look.test
    if before is not None and (before.kind == "invalid" or before.decided_by is not None):
        return before
    if split.log_e is not None and srm.p_value(split.log_e) < SRM_ALPHA:
        found = mismatch(test, trial, split.counts, split.log_e, now)
        return replace(found, sources=sources)
    if before is not None or test.status in ("draft", "archived"):
        return before
    concluded = conclude(look, trial, units, now)
    return None if concluded is None else replace(concluded, sources=sources)


def _comparisons(look: Look, units: UnitFindings) -> tuple[Comparison, ...]:
    baseline = look.test.baseline
    adjusted = _adjusted(look)
    return tuple(
        comparison(
            goal,
            (arm, baseline),
            look.pair(arm, baseline, goal.metric),
            found,
            Context(
                look.levels[goal.role],
                adjusted.get((arm, goal.metric, goal.role)),
                look.guard(arm, goal, found) if goal.role == "guardrail" else None,
                units.effect(arm, goal.metric),
            ),
        )
        for arm in look.contrasts
        for goal, found in look.goals(arm)
    )


def _adjusted(look: Look) -> Mapping[tuple[str, str, str], float]:
    """p-values adjusted within their role. Comparisons without one count as p = 1."""
    adjusted: dict[tuple[str, str, str], float] = {}
    for role in look.levels:
        every = [
            ((arm, goal.metric, goal.role), found.anytime)
            for arm in look.contrasts
            for goal, found in look.goals(arm)
            if goal.role == role
        ]
        p_values = [e.p_value if isinstance(e, Estimate) else 1.0 for _, e in every]
        method = benjamini_hochberg if role == "secondary" else holm
        adjusted |= {
            name: value
            for (name, estimate), value in zip(every, method(p_values), strict=True)
            if isinstance(estimate, Estimate)
        }
    return adjusted


def _beliefs(look: Look) -> tuple[ArmBelief, ...]:
    """Of the arms that are known, by primary metric."""
    found: list[ArmBelief] = []
    for goal in look.test.metrics:
        if goal.role != "primary":
            continue
        known = []
        for arm in look.test.arms:
            sample = look.samples[Cell(arm.arm, goal.metric)]
            error = sample.mean_error
            if sample.mean is not None and error:
                known.append((arm.arm, sample.mean, error))
        for each in beliefs(goal, known, look.test.alpha):
            rate = look.samples[Cell(each.arm, goal.metric)].rate
            found.append(each if rate is None else credible(each, rate, look.test.alpha))
    return tuple(found)
