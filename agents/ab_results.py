"""What is known of an A/B test beside its stored verdicts, for whoever shows it: of an offline test
the paired analysis of its cases, of one whose weights changed the differences by periods."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from agents.ab_versions import history
from agents.policy.case_pairs import PairedTests
from agents.policy.offline import judge_offline
from agents.policy.periods import (
    Periods,
    Stretch,
    advice,
    changes_of,
    estimates,
)
from agents.policy.trial import Cell, exact
from schemas.entities import AbTest
from schemas.evaluations import EvaluationRun
from schemas.records import AbVerdict
from sinks.ab_cases import case_values
from sinks.ab_panes import StretchSum, by_stretch
from sinks.clickhouse import ClickHouse
from sinks.errors import SinkError
from streams.statistics.estimates import NoEstimate
from streams.statistics.sums import Sums

STRETCHES_MAX = 2000
"""A change of weights makes two; all of them are sent to ClickHouse with the question."""


@dataclass(frozen=True, slots=True)
class Results:
    """`verdict` None: there is none yet. `paired`: of an offline test. `periods` None: offline, or
    weights did not change, or `why_no_periods` says why they are not known."""

    verdict: AbVerdict | None
    paired: tuple[PairedTests, ...] = ()
    periods: Periods | None = None
    why_no_periods: str | None = None


def newest_run(runs: Iterable[EvaluationRun], test: AbTest) -> EvaluationRun | None:
    """The newest run that has every arm of the test. None: there is none."""
    wanted = {arm.arm for arm in test.arms}
    of_test = (
        run
        for run in runs
        if (run.org_id, run.spec.ab_test_id) == (test.org_id, test.ab_test_id)
        and wanted <= {model.arm for model in run.spec.models}
    )
    return max(of_test, key=lambda run: (run.requested_at, run.run_id), default=None)


def offline(
    clickhouse: ClickHouse,
    test: AbTest,
    run: EvaluationRun | None,
    stored: AbVerdict | None,
    now: datetime,
) -> Results:
    """Of the cases that are finished now: of the run, or of all runs for the test where none has
    all its arms. A person's decision, which `stored` carries, stays. Raises Backpressure,
    SinkBroken."""
    run_id = "" if run is None else run.run_id
    cases = {
        Cell(arm, goal.metric): found
        for goal in test.metrics
        for arm, found in case_values(
            clickhouse, test.org_id, test.ab_test_id, goal.metric, run_id
        ).items()
    }
    decided = stored if stored is not None and stored.decided_by is not None else None
    if not cases:
        return Results(decided)
    found = judge_offline(test, cases, now)
    verdict = found.verdict
    if decided is not None:
        verdict = replace(
            verdict,
            status=decided.status,
            winner=decided.winner,
            decided_at=decided.decided_at,
            decision=decided.decision,
            decided_by=decided.decided_by,
            recommendation=decided.recommendation,
            reason=decided.reason,
        )
    return Results(verdict, found.paired)


def online(clickhouse: ClickHouse, test: AbTest, verdict: AbVerdict | None) -> Results:
    """The stored verdict, and the differences by periods if weights changed."""
    if verdict is None:
        return Results(None)
    try:
        return beside(verdict, periods(clickhouse, test))
    except SinkError as error:
        return beside(verdict, NoEstimate(str(error)))


def beside(verdict: AbVerdict, found: Periods | NoEstimate | None) -> Results:
    """The stored verdict of an online test, and its periods or why they are not known."""
    if isinstance(found, NoEstimate):
        return Results(verdict, why_no_periods=found.reason)
    return Results(verdict, periods=found)


def periods(clickhouse: ClickHouse, test: AbTest) -> Periods | NoEstimate | None:
    """The differences of an online test by periods; None: its weights did not change. Raises
    Backpressure, SinkBroken."""
    found = history(clickhouse, test)
    if isinstance(found, NoEstimate):
        return found
    changes = changes_of(found)
    if not changes:
        return None
    if len(found) > STRETCHES_MAX:
        return NoEstimate(
            f"weights changed {changes:,} times, which makes {len(found):,} stretches of time; "
            f"at most {STRETCHES_MAX:,} are compared"
        )
    starts_s = [each.start_ms // 1000 for each in found]
    rows = by_stretch(clickhouse, test.org_id, test.ab_test_id, starts_s)
    by_period = estimates(test, _strata(found, rows))
    return Periods(changes, tuple(by_period), advice(test, changes, by_period))


def _strata(found: Iterable[Stretch], rows: Iterable[StretchSum]) -> dict[str, dict[Cell, Sums]]:
    names = {each.start_ms // 1000: each.stratum for each in found}
    strata: dict[str, dict[Cell, Sums]] = {}
    for row in rows:
        name = names[row.start_s]
        if name is None:
            continue
        total = exact(row.metric, row.total, row.total_nanos)
        cells = strata.setdefault(name, {})
        cell = Cell(row.arm, row.metric)
        more = Sums.of_row(row.n, total, row.total_sq, row.minimum, row.maximum)
        cells[cell] = cells.get(cell, Sums()) + more
    return strata
