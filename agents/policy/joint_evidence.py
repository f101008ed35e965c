"""Evidence of two A/B tests of one comparison, put together: an offline test and the online one
after it, or the same test in two places. Pure.

A comparison is the same when both tests compare the same model with the same baseline model on the
same metric in the same direction; names of arms may differ.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from schemas.entities import AbTest, AbTestMode, Arm, Direction
from schemas.records import AbVerdict, Comparison, ComparisonVerdict
from streams.statistics.estimates import NoEstimate
from streams.statistics.evidence import across, log_mean, p_value

How = Literal["product", "mean"]
MODES = "one test asks cases, the other counts live calls: their values are independent"
LATER = "{later} began when the newest verdict of {earlier} was known"
SAID = "as was asked for"
OVERLAP = "both may rest on the same units or cases, so that their evidence is not independent"


class NothingInCommon(ValueError):
    """Two tests that do not make one comparison; the message says what each makes."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A test and its newest verdict."""

    test: AbTest
    verdict: AbVerdict


@dataclass(frozen=True, slots=True)
class EvidenceOfTest:
    """One test's part. `log_e_value` None: no evidence yet, or of an invalid test; see `note`."""

    ab_test_id: str
    mode: AbTestMode
    arm: str
    baseline: str
    n_arm: int
    n_baseline: int
    difference: float | None
    found: ComparisonVerdict
    log_e_value: float | None
    p_value: float | None
    note: str | None


@dataclass(frozen=True, slots=True)
class JointEvidence:
    """Evidence against 'the model does not differ from the baseline model in either test'.

    `log_e_value`, `p_value`: of both, valid at every look; None: see `note`. `agree`: whether both
    estimates lie on the same side of 0; None: one is missing, or 0.
    """

    metric: str
    direction: Direction
    model_id: str
    baseline_model_id: str
    tests: tuple[EvidenceOfTest, EvidenceOfTest]
    log_e_value: float | None
    p_value: float | None
    agree: bool | None
    note: str | None


@dataclass(frozen=True, slots=True)
class Joint:
    """All comparisons that two tests share. `how`: product of independent evidence, else mean."""

    how: How
    why: str
    comparisons: tuple[JointEvidence, ...]


def joint(
    mine: Judged, other: Judged, metric: str | None = None, independent: bool | None = None
) -> Joint:
    """On one metric, or on all that both have. `independent` None: found out from the tests.

    Raises NothingInCommon.
    """
    pairs = list(_shared(mine, other, metric))
    if not pairs:
        raise NothingInCommon(_why(mine, other, metric))
    how, why = _how(mine, other, independent)
    found = tuple(_joined(mine, other, how, *pair) for pair in pairs)
    return Joint(how, why, found)


def _shared(
    mine: Judged, other: Judged, metric: str | None
) -> Iterator[tuple[Comparison, Comparison]]:
    theirs = list(other.verdict.comparisons)
    for each in mine.verdict.comparisons:
        if metric not in (None, each.metric):
            continue
        alike = [c for c in theirs if _same(mine.test, each, other.test, c)]
        # Arms of one model, told apart by their prompts, are told apart by name.
        named = [c for c in alike if c.arm == each.arm] if len(alike) > 1 else alike
        if len(named) == 1:
            yield each, named[0]


def _same(mine: AbTest, one: Comparison, other: AbTest, two: Comparison) -> bool:
    if (one.metric, one.direction) != (two.metric, two.direction):
        return False
    sides = ((one.arm, two.arm), (one.baseline, two.baseline))
    return all(_same_model(_arm(mine, a), _arm(other, b)) for a, b in sides)


def _same_model(one: Arm | None, two: Arm | None) -> bool:
    if one is None or two is None or one.model_id != two.model_id:
        return False
    versions = {one.model_version, two.model_version} - {None}
    return len(versions) < 2


def _arm(test: AbTest, name: str) -> Arm | None:
    return next((arm for arm in test.arms if arm.arm == name), None)


def _how(mine: Judged, other: Judged, independent: bool | None) -> tuple[How, str]:
    if independent is not None:
        return ("product" if independent else "mean"), SAID
    if mine.test.mode != other.test.mode:
        return "product", MODES
    for earlier, later in ((mine, other), (other, mine)):
        began = later.verdict.started_at
        if began is not None and began >= earlier.verdict.as_of:
            ids = {"later": later.test.ab_test_id, "earlier": earlier.test.ab_test_id}
            return "product", LATER.format(**ids)
    return "mean", OVERLAP


def _joined(
    mine: Judged, other: Judged, how: How, one: Comparison, two: Comparison
) -> JointEvidence:
    sides = (_side(mine, one), _side(other, two))
    logs = [side.log_e_value for side in sides]
    combined = _combined(how, logs)
    log_e = None if isinstance(combined, NoEstimate) else combined
    gaps = [side.difference for side in sides]
    signs = [math.copysign(1, gap) for gap in gaps if gap]
    agree = signs[0] == signs[1] if len(signs) == 2 else None
    arm, base = _arm(mine.test, one.arm), _arm(mine.test, one.baseline)
    assert arm is not None
    assert base is not None
    notes = [combined.reason] if isinstance(combined, NoEstimate) else []
    if agree is False:
        notes.append("the tests differ in opposite directions: something differs, not which way")
    return JointEvidence(
        metric=one.metric,
        direction=one.direction,
        model_id=arm.model_id,
        baseline_model_id=base.model_id,
        tests=sides,
        log_e_value=log_e,
        p_value=None if log_e is None else p_value(log_e),
        agree=agree,
        note="; ".join(notes) or None,
    )


def _combined(how: How, logs: Sequence[float | None]) -> float | NoEstimate:
    known = [log_e for log_e in logs if log_e is not None]
    if len(known) < len(logs):
        return NoEstimate("one of the tests has no evidence on this comparison")
    if how == "mean":
        return log_mean(known)
    found = across(known)
    return found if isinstance(found, NoEstimate) else found.together


def _side(judged: Judged, found: Comparison) -> EvidenceOfTest:
    log_e, note = found.log_e_value, found.note
    if judged.verdict.status == "invalid":
        log_e, note = None, "the test is invalid: what it measured is no evidence"
    return EvidenceOfTest(
        ab_test_id=judged.test.ab_test_id,
        mode=judged.test.mode,
        arm=found.arm,
        baseline=found.baseline,
        n_arm=found.n_arm,
        n_baseline=found.n_baseline,
        difference=found.difference,
        found=found.verdict,
        log_e_value=log_e,
        p_value=None if log_e is None else p_value(log_e),
        note=note,
    )


def _why(mine: Judged, other: Judged, metric: str | None) -> str:
    """What keeps two tests from being one comparison, in words."""
    one, two = mine.test, other.test
    ids = f"{one.ab_test_id} and {two.ab_test_id}"
    goals = [{g.metric: g.direction for g in test.metrics} for test in (one, two)]
    wanted = goals[0].keys() & goals[1].keys()
    if metric is not None:
        wanted &= {metric}
    if not wanted:
        named = "no metric" if metric is None else f"not both the metric {metric}"
        listed = "; ".join(
            f"{test.ab_test_id} has {', '.join(held)}"
            for test, held in zip((one, two), goals, strict=True)
        )
        return f"{ids} have {named} in common: {listed}"
    same_way = {name for name in wanted if goals[0][name] == goals[1][name]}
    if not same_way:
        listed = ", ".join(
            f"{name} is better {goals[0][name]} in the first, {goals[1][name]} in the other"
            for name in sorted(wanted)
        )
        return f"{ids} have no direction in common: {listed}"
    listed = "; ".join(f"{test.ab_test_id} compares {_models(test)}" for test in (one, two))
    return (
        f"{ids} do not compare the same models on {', '.join(sorted(same_way))}: {listed}. Both "
        "need the same model against the same baseline model"
    )


def _models(test: AbTest) -> str:
    base = _arm(test, test.baseline)
    against = "nothing" if base is None else _named(base)
    others = [_named(arm) for arm in test.arms if arm.arm != test.baseline]
    return f"{', '.join(others)} against {against}"


def _named(arm: Arm) -> str:
    return arm.model_id if arm.model_version is None else f"{arm.model_id} {arm.model_version}"
