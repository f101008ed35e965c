"""Which of all A/B tests of an organisation found a difference, at a rate of false discoveries.

A test asks: does any arm differ from the baseline on any primary metric, in either direction? Its
evidence is the mean of the e-values of all these comparisons: an e-value however they depend on
each other (arms share the baseline, metrics their calls). A comparison without an estimate counts
as 1, no evidence, so that the weights are fixed beforehand. Valid whenever it is read. Pure.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from schemas.records import AbStatus, AbVerdict, Comparison, ComparisonVerdict
from streams.statistics.evidence import log_mean, p_value
from streams.statistics.multiple import e_benjamini_hochberg
from streams.statistics.online_fdr import EStream, Stream

Procedure = Literal["e-lond", "lord"]
ASSUMES: dict[Procedure, str] = {
    "e-lond": "nothing about how tests depend on each other: they may share units and calls",
    "lord": "that p-values of tests without a difference are independent of each other: not so "
    "of tests that share units or calls",
}
RULE = (
    "evidence of a test: the mean of the e-values of its arms on its primary metrics, valid "
    "however these depend on each other; 1 where there is no estimate. p-value: 1 / e. Both hold "
    "at every look, and speak against 'no arm differs from the baseline', in either direction"
)
INVALID = "the test is invalid: what it measured is no evidence"
NONE_YET = "no comparison on a primary metric has an e-value yet"
UNPLACED = "it is not known when the test began: it stands where its verdict is from"


@dataclass(frozen=True, slots=True)
class Begun:
    """A test and its newest verdict. `began_at` None: not known."""

    began_at: datetime | None
    verdict: AbVerdict


@dataclass(frozen=True, slots=True)
class Evidence:
    """`comparisons`: arms times primary metrics; `measured`: how many have an e-value; `strongest`:
    which of them has the largest. `note`: why there is none."""

    log_e: float
    comparisons: int
    measured: int
    strongest: Comparison | None
    note: str | None


@dataclass(frozen=True, slots=True)
class Placed:
    """A test at its place, from 1, in the order in which tests began.

    `level`: what the procedure gives it: a discovery has a p-value (1 / e) at or below it.
    `least_q`: the least rate at which all tests taken together (e-BH) count this one among their
    discoveries: it holds however tests depend, but takes back discoveries when others join.
    `metric`, `arm`, `found`: the comparison with most evidence, and what its interval says.
    """

    place: int
    ab_test_id: str
    began_at: datetime | None
    as_of: datetime
    status: AbStatus
    comparisons: int
    measured: int
    log_e_value: float
    p_value: float
    level: float
    discovery: bool
    least_q: float
    metric: str | None
    arm: str | None
    found: ComparisonVerdict | None
    note: str | None


def evidence_of(verdict: AbVerdict) -> Evidence:
    """That some arm differs from the baseline on some primary metric."""
    asked = [each for each in verdict.comparisons if each.role == "primary"]
    logs = {i: each.log_e_value for i, each in enumerate(asked)}
    known = {i: log_e for i, log_e in logs.items() if log_e is not None}
    if verdict.status == "invalid":
        return Evidence(0.0, len(asked), len(known), None, INVALID)
    if not known:
        return Evidence(0.0, len(asked), 0, None, NONE_YET)
    strongest = asked[max(known, key=known.__getitem__)]
    log_e = log_mean([known.get(i, 0.0) for i in logs])
    return Evidence(log_e, len(asked), len(known), strongest, None)


def discoveries(
    tests: Iterable[Begun], q: float = 0.05, procedure: Procedure = "e-lond"
) -> list[Placed]:
    """Every test in the order in which it began, decided one after the other at rate q, in (0, 1).

    Two that began at once stand in the order of their names.
    """
    ordered = sorted(tests, key=lambda t: (t.began_at or t.verdict.as_of, t.verdict.ab_test_id))
    evidence = [evidence_of(each.verdict) for each in ordered]
    least = e_benjamini_hochberg([each.log_e for each in evidence])
    decided = _decided([each.log_e for each in evidence], q, procedure)
    return [
        _shown(place, *row)
        for place, row in enumerate(zip(ordered, evidence, decided, least, strict=True), start=1)
    ]


def _decided(log_e: Sequence[float], q: float, procedure: Procedure) -> list[tuple[float, bool]]:
    """(level, whether it is a discovery), in order."""
    rows = []
    independent, any_way = Stream(q), EStream(q)
    for each in log_e:
        if procedure == "lord":
            level = independent.level()
            found, independent = independent.decide(p_value(each))
        else:
            level = any_way.level()
            found, any_way = any_way.decide(each)
        rows.append((level, found))
    return rows


def _shown(
    place: int, begun: Begun, evidence: Evidence, decided: tuple[float, bool], least_q: float
) -> Placed:
    verdict, strongest = begun.verdict, evidence.strongest
    notes = (evidence.note, UNPLACED if begun.began_at is None else None)
    return Placed(
        place=place,
        ab_test_id=verdict.ab_test_id,
        began_at=begun.began_at,
        as_of=verdict.as_of,
        status=verdict.status,
        comparisons=evidence.comparisons,
        measured=evidence.measured,
        log_e_value=evidence.log_e,
        p_value=p_value(evidence.log_e),
        level=decided[0],
        discovery=decided[1],
        least_q=least_q,
        metric=None if strongest is None else strongest.metric,
        arm=None if strongest is None else strongest.arm,
        found=None if strongest is None else strongest.verdict,
        note="; ".join(filter(None, notes)) or None,
    )
