"""Computes a stored verdict again from where its numbers came from, and says what differs.

From the log, if it still holds every message that the verdict names: the result must be the same
to the last bit. Sums by unit come from ClickHouse, up to the named records, and agree to
UNITS_AGREE, since ClickHouse adds doubles in any order. When the log is gone, the panes in
ClickHouse stand in for it, which are no longer cut at the verdict's last message.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import polars as pl

from agents import partials_log
from agents.ab_parts import Followed, TrialKey
from agents.errors import LogGone
from agents.policy.replay import (
    Counted,
    Difference,
    Versions,
    again,
    decided_again,
    differences,
    partials_of,
    rebuild,
)
from agents.policy.sources import MIXED
from agents.policy.trial import Trial, add
from agents.policy.units import ABSENT, UnitFindings
from agents.units import bounds_of, findings
from schemas.entities import AbTest
from schemas.records import AbVerdict, SourceStretch
from schemas.wire import Codec
from sinks.ab_panes import panes
from sinks.clickhouse import ClickHouse
from sinks.errors import SinkError
from streams.kafka import KafkaConfig
from streams.statistics.version import VERSION

UNITS_AGREE = 1e-9
PANES_AGREE = 1e-9
BY_UNITS = ("warning", "design_effect", "units")
"""Fields that come from sums by unit, also where the test is analysed by events."""


@dataclass(frozen=True, slots=True)
class Where:
    """The parts that are asked. `clickhouse` None: it is not asked."""

    kafka: KafkaConfig
    codec: Codec
    clickhouse: ClickHouse | None


@dataclass(frozen=True, slots=True)
class Reproduction:
    """`source`: what was read; none: nothing could be. `messages`: of the log. `notes`: what could
    not be compared, and why. `again`: the verdict as it came out."""

    source: Literal["log", "clickhouse", "none"]
    messages: int
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]
    again: AbVerdict | None

    @property
    def read(self) -> str:
        """What it came out of, in words."""
        if self.source == "log":
            return f"{self.messages} messages of the log"
        return "the panes in ClickHouse"

    @property
    def same(self) -> bool:
        """Whether the verdict was computed again, and nothing differs."""
        return self.again is not None and not self.differences


def reproduce(where: Where, verdict: AbVerdict, versions: Versions) -> Reproduction:
    """Raises AgentsStopped when Kafka does not answer, Backpressure or SinkBroken when ClickHouse
    is needed and does not."""
    if not partials_of(verdict.sources):
        why = "the verdict names no records: it is from before they were kept, or nothing came yet"
        return Reproduction("none", 0, (), (why,), None)
    try:
        messages = [m for s in partials_of(verdict.sources) for m in _messages(where, verdict, s)]
    except LogGone as gone:
        return _told(verdict, _from_panes(where, verdict, versions, str(gone)))
    return _told(verdict, _from_log(where, verdict, versions, messages))


def _told(verdict: AbVerdict, found: Reproduction) -> Reproduction:
    """The version of the statistics is no difference of its own: it is said beside others."""
    kept = tuple(each for each in found.differences if each.field != "statistics_version")
    notes, version = found.notes, verdict.statistics_version
    if kept and version != VERSION:
        then = "a version from before they were numbered" if version is None else f"{version}"
        said = (
            f"the verdict was computed by statistics version {then}, this is {VERSION}: formulas "
            "changed between them, and fields may differ for that reason alone"
        )
        notes = (*notes, said)
    return replace(found, differences=kept, notes=notes)


def _from_log(
    where: Where, verdict: AbVerdict, versions: Versions, messages: Sequence[Counted]
) -> Reproduction:
    notes: list[str] = []
    trial = rebuild(verdict.sources, messages, versions)
    test = _test_at(verdict, versions)
    units = _units(where, verdict, versions, verdict.sources, notes)
    computed = again(verdict, test, trial, units)
    found = list(differences(verdict, computed, UNITS_AGREE if units else 0.0))
    if verdict.decided_by is not None:
        notes.append(f"{verdict.decided_by} decided: the decision is not made again")
    elif verdict.decision_sources:
        earlier = rebuild(verdict.decision_sources, messages, versions)
        by_then = _units(where, verdict, versions, verdict.decision_sources, notes)
        found += decided_again(verdict, test, earlier, by_then)
    mixed = any(each.test_version == MIXED for each in partials_of(verdict.sources))
    kept = [each for each in found if not _incomparable(each, verdict, units, mixed)]
    if mixed:
        notes.append("the test had so many versions that the split of traffic is not compared")
    if _was_away(verdict):
        notes.append("ClickHouse was away then: the reason that says so is not compared")
    return Reproduction("log", len(messages), tuple(kept), tuple(dict.fromkeys(notes)), computed)


def _from_panes(where: Where, verdict: AbVerdict, versions: Versions, gone: str) -> Reproduction:
    """From the panes of ClickHouse, if they hold exactly the calls that the verdict counts."""
    notes = [f"the log is gone: {gone}"]
    if where.clickhouse is None:
        return Reproduction("none", 0, (), (*notes, "ClickHouse is not asked"), None)
    test = _test_at(verdict, versions)
    rows = panes(where.clickhouse, verdict.org_id, verdict.ab_test_id)
    trial = replace(add(Trial(), test, rows), sources=partials_of(verdict.sources))
    stored = {arm.arm: arm.events for arm in verdict.arms}
    counted = {arm.arm: trial.calls(arm.arm) for arm in test.arms}
    if stored != counted:
        notes.append(
            f"ClickHouse holds {counted} calls, the verdict counted {stored}: panes cannot be cut "
            "at a message, so its numbers cannot be compared"
        )
        return Reproduction("none", 0, (), tuple(notes), None)
    notes.append("the split of traffic and the decision are not compared: they need the log")
    units = _units(where, verdict, versions, verdict.sources, notes)
    computed = again(verdict, test, trial, units)
    found = (
        each
        for each in differences(verdict, computed, PANES_AGREE)
        if each.field != "srm_p_value" and not _incomparable(each, verdict, units, True)
    )
    return Reproduction("clickhouse", 0, tuple(found), tuple(notes), computed)


def _messages(where: Where, verdict: AbVerdict, stretch: SourceStretch) -> Iterator[Counted]:
    mine = (
        (pl.col("org_id") == verdict.org_id)
        & (pl.col("ab_test_id") == verdict.ab_test_id)
        & (pl.col("source") == "production")
    )
    first, last = stretch.first_offset, stretch.last_offset
    for offset, message in partials_log.read(
        where.kafka, where.codec, stretch.partition, first, last
    ):
        rows = message.frame.filter(mine).drop("bins", "counts")
        if rows.height:
            yield Counted(stretch.partition, offset, rows)


def _units(
    where: Where,
    verdict: AbVerdict,
    versions: Versions,
    sources: Sequence[SourceStretch],
    notes: list[str],
) -> UnitFindings | None:
    """What ClickHouse knew then; None: nothing, or it cannot be asked again."""
    limit = bounds_of(sources)
    if not any(limit.last.values()) or verdict.started_at is None:
        return ABSENT if verdict.analysis == "units" else None
    if where.clickhouse is None:
        notes.append("sums by unit are not compared: ClickHouse is not asked")
        return None
    key = TrialKey(verdict.org_id, verdict.ab_test_id)
    following = Followed(key, versions.now, verdict.started_at)
    try:
        return findings(where.clickhouse, following, limit)
    except SinkError as error:
        if verdict.analysis == "units":
            raise
        notes.append(f"sums by unit are not compared: {error}")
        return None


def _test_at(verdict: AbVerdict, versions: Versions) -> AbTest:
    """The test of the last message, its status as the verdict shows it."""
    last = partials_of(verdict.sources)[-1]
    test = versions.of(last.test_version)
    weights = {arm.arm: arm.weight for arm in verdict.arms}
    total = sum(arm.weight for arm in test.arms)
    stale = any(weights.get(arm.arm) not in (None, arm.weight / total) for arm in test.arms)
    if stale:
        test = replace(test, arms=versions.now.arms)
    return replace(test, status="stopped") if verdict.status == "stopped" else test


def _incomparable(
    each: Difference, verdict: AbVerdict, units: UnitFindings | None, mixed: bool
) -> bool:
    if mixed and each.field == "srm_p_value":
        return True
    if each.field == "reason" and _was_away(verdict):
        return True
    named = each.field.rpartition(".")[2]
    if named in BY_UNITS or each.field.startswith("sources"):
        return units is None
    return False


def _was_away(verdict: AbVerdict) -> bool:
    return verdict.recommendation == "keep_going" and "there is nothing newer" in verdict.reason
