"""The verdict of an A/B test: its comparisons, and the decision that is kept once it is made.

A decision is kept, whatever comes later, but for one thing: traffic that is not split by the
weights makes the test invalid, at any time and for good.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import polars as pl

from agents.policy.comparisons import comparison
from agents.policy.decision import Look, conclude, mismatch
from agents.policy.trial import Decision, Trial, add, dump_trial, load_trial
from schemas.entities import AbTest
from schemas.records import AbStatus, AbVerdict, ArmCount, Comparison
from streams.statistics import srm

SRM_ALPHA = 0.001
"""A test is invalid for good below this: one in a thousand good ones, however often one looks."""


class Verdicts:
    """The statistics behind the monitor (agents.monitor.Statistics): states are `Trial` values."""

    def zero(self, test: AbTest) -> Trial:  # noqa: ARG002  Statistics' signature
        return Trial()

    def apply(self, state: Trial, test: AbTest, rows: pl.DataFrame) -> Trial:
        return add(state, test, rows)

    def judge(self, state: Trial, test: AbTest, now: datetime) -> tuple[Trial, AbVerdict]:
        return judge(state, test, now)

    def dump(self, state: Trial) -> Mapping[str, Any]:
        return dump_trial(state)

    def load(self, value: Mapping[str, Any]) -> Trial:
        return load_trial(value)


def judge(trial: Trial, test: AbTest, now: datetime) -> tuple[Trial, AbVerdict]:
    """The verdict at `now`, and the trial that remembers what was decided.

    Numbers depend on the sums alone, not on earlier looks. `srm_p_value` is None until a pane is
    complete (agents.policy.split).
    """
    look = Look.at(test, trial)
    log_e = trial.split.log_e_value()
    decided = _decision(trial, look, log_e, now)
    status: AbStatus = "stopped" if test.status == "stopped" else "collecting"
    if decided is not None:
        status = "invalid" if decided.kind == "invalid" else "decided"
    arms = tuple(ArmCount(a.arm, a.model_id, trial.calls(a.arm)) for a in test.arms)
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
        arms=arms,
        comparisons=_comparisons(look),
    )
    split = trial.split if test.status == "running" else trial.split.pause()
    return replace(trial, decision=decided, split=split), verdict


def _decision(trial: Trial, look: Look, log_e: float | None, now: datetime) -> Decision | None:
    before = trial.decision
    if before is not None and before.kind == "invalid":
        return before
    if log_e is not None and srm.p_value(log_e) < SRM_ALPHA:
        return mismatch(trial, log_e, now)
    if before is not None or look.test.status == "draft":
        return before
    return conclude(look, now)


def _comparisons(look: Look) -> tuple[Comparison, ...]:
    baseline = look.test.baseline
    return tuple(
        comparison(
            goal,
            (arm, baseline),
            look.pair(arm, baseline, goal.metric),
            found,
            look.levels[goal.role],
        )
        for arm in look.contrasts
        for goal, found in look.goals(arm)
    )
