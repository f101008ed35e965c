"""A verdict computed again from the records that it names, and how it differs from before."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from datetime import datetime
from typing import NamedTuple

import polars as pl

from agents.policy.sources import Position, Stretches
from agents.policy.trial import Trial, add
from agents.policy.units import UnitFindings
from agents.policy.verdicts import decided_by, judge
from schemas.entities import AbTest
from schemas.records import AbVerdict, SourceStretch
from schemas.topics import Topic

PARTIALS = Topic.METRIC_PARTIALS.value


class Counted(NamedTuple):
    """One message of metric-partials: its rows of the test, tidy without sketches."""

    partition: int
    offset: int
    rows: pl.DataFrame


class Versions(NamedTuple):
    """The test as it was under each version, as far as known, and as it is now."""

    known: Mapping[int, AbTest]
    now: AbTest

    def of(self, version: int) -> AbTest:
        """What is not known is taken to be what it is now: what sums rest on cannot change."""
        return self.known.get(version, self.now)


class Difference(NamedTuple):
    """A field that came out otherwise."""

    field: str
    stored: object
    again: object


def partials_of(sources: Sequence[SourceStretch]) -> Stretches:
    """Those of metric-partials, in their order."""
    return tuple(each for each in sources if each.topic == PARTIALS)


def rebuild(
    sources: Sequence[SourceStretch], messages: Iterable[Counted], versions: Versions
) -> Trial:
    """The state after these messages; `messages` in the order of their offsets."""
    trial = Trial()
    stretches = partials_of(sources)
    begun: set[int] = set()
    for partition, offset, rows in messages:
        if not rows.height:
            continue
        for number, each in enumerate(stretches):
            if each.partition == partition and each.first_offset <= offset <= each.last_offset:
                if number not in begun and each.resumed:
                    trial = replace(trial, split=trial.split.pause())
                begun.add(number)
                at = Position(partition, offset, each.test_version)
                trial = add(trial, versions.of(each.test_version), rows, at)
                break
    return trial


def again(verdict: AbVerdict, test: AbTest, trial: Trial, units: UnitFindings | None) -> AbVerdict:
    """The verdict of its own instant, its decision taken as given."""
    return judge(replace(trial, decision=decided_by(verdict)), test, verdict.as_of, units)[1]


def decided_again(
    verdict: AbVerdict, test: AbTest, trial: Trial, units: UnitFindings | None
) -> list[Difference]:
    """How the decision differs when it is made anew from the records it rests on."""
    stored = decided_by(verdict)
    assert stored is not None, "asked of decided verdicts only"
    found = judge(trial, test, stored.decided_at, units)[0].decision
    if found is None:
        return [Difference("decision", stored.text, None)]
    same = (
        ("decision.kind", stored.kind, found.kind),
        ("decision.winner", stored.winner, found.winner),
        # A mismatch of traffic tells what was decided before, which is not decided anew here.
        ("decision.text", stored.text.partition(" Before, it was")[0], found.text),
    )
    return [Difference(*each) for each in same if each[1] != each[2]]


def differences(
    stored: object, computed: object, tolerance: float = 0.0, at: str = ""
) -> Iterator[Difference]:
    """Field by field; numbers agree within `tolerance`, relative to the larger one."""
    if is_dataclass(stored) and type(stored) is type(computed):
        for field in fields(stored):
            here = f"{at}.{field.name}" if at else field.name
            one, other = getattr(stored, field.name), getattr(computed, field.name)
            yield from differences(one, other, tolerance, here)
    elif isinstance(stored, tuple) and isinstance(computed, tuple):
        if len(stored) != len(computed):
            yield Difference(f"{at}, how many", len(stored), len(computed))
        for i, (one, other) in enumerate(zip(stored, computed, strict=False)):
            yield from differences(one, other, tolerance, f"{at}[{i}]")
    elif isinstance(stored, float) and isinstance(computed, float):
        if not math.isclose(stored, computed, rel_tol=tolerance, abs_tol=0.0):
            yield Difference(at, stored, computed)
    elif not _same(stored, computed):
        yield Difference(at, stored, computed)


def _same(stored: object, computed: object) -> bool:
    if isinstance(stored, datetime) and isinstance(computed, datetime):
        return abs((stored - computed).total_seconds()) < 0.001
    return stored == computed
