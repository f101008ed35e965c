"""Other methods beside a test's verdict: what ClickHouse holds of it, read and put together."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from agents.ab_versions import history
from agents.policy.method_rows import MethodRow
from agents.policy.methods import CAUTIONS, Readings, method_rows
from agents.policy.periods import Stretch, changes_of
from agents.policy.planned_looks import LookRow, LookSeen, look_rows, needed
from agents.policy.trial import COUNTED, Cell, exact
from schemas.entities import AbTest
from sinks.ab_bounded import BoundedUnits
from sinks.ab_looks import looks
from sinks.ab_panes import ArmTotal, totals
from sinks.clickhouse import ClickHouse
from streams.statistics.clusters import UnitSums
from streams.statistics.estimates import NoEstimate
from streams.statistics.quantiles import Sketch
from streams.statistics.sums import Sums


@dataclass(frozen=True, slots=True)
class Read:
    """What was read, and what is to be known of it. `looks`: those that were planned and reached,
    by metric and arm."""

    found: Readings
    warnings: tuple[str, ...]
    looks: Mapping[tuple[str, str], Sequence[LookSeen]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Methods:
    """`group_sequential`: of planned looks; `warnings`: against these numbers; `cautions`: of all
    such numbers."""

    as_of: datetime
    rows: tuple[MethodRow, ...]
    group_sequential: tuple[LookRow, ...]
    warnings: tuple[str, ...]
    cautions: tuple[str, ...] = CAUTIONS


def read(clickhouse: ClickHouse, test: AbTest) -> Read | NoEstimate:
    """Of the stretches in which the test ran, by production. Raises Backpressure, SinkBroken."""
    if test.mode == "offline":
        return NoEstimate(
            "an offline test compares the same cases: its results have every paired test"
        )
    stretches = history(clickhouse, test)
    if isinstance(stretches, NoEstimate):
        rows = totals(clickhouse, test.org_id, test.ab_test_id)
    else:
        starts, counted = _running(stretches)
        rows = totals(clickhouse, test.org_id, test.ab_test_id, starts, counted)
    warnings = [*_left_out(test, rows), *_warnings(test, stretches)]
    found = _readings([row for row in rows if row.counted], _units(clickhouse, test))
    return Read(found, tuple(warnings), _looks(clickhouse, test))


def methods(test: AbTest, found: Read, as_of: datetime) -> Methods:
    """Every row. Pure."""
    planned = look_rows(test, found.looks)
    return Methods(as_of, method_rows(test, found.found), planned, found.warnings)


def _looks(clickhouse: ClickHouse, test: AbTest) -> dict[tuple[str, str], list[LookSeen]]:
    due, found = needed(test), dict[tuple[str, str], list[LookSeen]]()
    if due:
        for each in looks(clickhouse, test.org_id, test.ab_test_id, due):
            found.setdefault((each.metric, each.arm), []).append(LookSeen(*each[2:]))
    return found


def _running(stretches: Sequence[Stretch]) -> tuple[list[int], list[int]]:
    """(starts, those from which on the test ran), without boundaries that change nothing."""
    starts: list[int] = []
    counted: list[int] = []
    before: bool | None = None
    for each in stretches:
        runs = each.stratum is not None
        if runs != before:
            starts.append(each.start_ms // 1000)
            if runs:
                counted.append(each.start_ms // 1000)
        before = runs
    return starts, counted


def _readings(rows: Sequence[ArmTotal], units: dict[Cell, UnitSums]) -> Readings:
    sums: dict[Cell, Sums] = {}
    sketches: dict[Cell, Sketch] = {}
    for row in rows:
        cell = Cell(row.arm, row.metric)
        total = exact(row.metric, row.total, row.total_nanos)
        sums[cell] = Sums.of_row(row.n, total, row.total_sq, row.minimum, row.maximum)
        held = sorted(zip(row.bins, row.counts, strict=True))
        sketches[cell] = Sketch([key for key, _ in held], [count for _, count in held])
    return Readings(sums, sketches, units)


def _units(clickhouse: ClickHouse, test: AbTest) -> dict[Cell, UnitSums]:
    if test.analysis != "units":
        return {}
    units = BoundedUnits(clickhouse, test.org_id, test.ab_test_id)
    upto = units.bounds()
    return {
        Cell(arm, goal.metric): sums
        for goal in test.metrics
        for arm, sums in units.sums(goal.metric, upto).items()
    }


def _left_out(test: AbTest, rows: Sequence[ArmTotal]) -> Iterator[str]:
    arms = {arm.arm for arm in test.arms}
    calls = [row for row in rows if row.metric == COUNTED and row.arm in arms]
    total = sum(row.n for row in calls)
    left_out = sum(row.n for row in calls if not row.counted)
    if left_out:
        yield (
            f"{left_out:,} of {total:,} stored calls of the test are not counted: they are from "
            "times at which it was not running"
        )


def _warnings(test: AbTest, stretches: Sequence[Stretch] | NoEstimate) -> Iterator[str]:
    if isinstance(stretches, NoEstimate):
        yield (f"all stored calls of the test count, as {stretches.reason}")
    elif changes_of(stretches):
        yield (
            "weights changed while the test ran, so that rows mix times with different shares of "
            "the arms: see periods of its results"
        )
    if test.analysis == "units":
        yield (
            "the test is analysed by units: rows by calls take the calls of a unit as independent, "
            "and are surer than they should be"
        )
    if test.covariate is not None:
        yield (f"rows do not use the covariate {test.covariate}, as the verdict does")
