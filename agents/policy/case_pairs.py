"""One metric of two arms on the same cases, by every test that fits: what offline verdicts show."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from agents.policy.comparisons import Contrast, Level
from agents.policy.numbers import Numbers, Result
from streams.statistics import paired
from streams.statistics.estimates import Estimate, NoEstimate
from streams.statistics.sequential import confidence_sequence, log_e_value

ByCase = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class PairedTests:
    """An arm against the baseline, case by case (arm minus baseline); None: no estimate, see note.

    `cases`: with a value of both; `left_out`: that only one has. `t_*`: Student's paired t and
    `anytime_*`: the sequence that holds at every look, the latter corrected for the comparisons of
    the same role. `signed_rank_p_value`: Wilcoxon's. `mcnemar_p_value`: where every value is 0 or
    1, with the cases that only the arm and that only the baseline passed.
    """

    metric: str
    arm: str
    baseline: str
    cases: int
    left_out: int
    difference: float | None
    t_p_value: float | None
    t_lower: float | None
    t_upper: float | None
    anytime_p_value: float | None
    anytime_lower: float | None
    anytime_upper: float | None
    signed_rank_p_value: float | None
    mcnemar_p_value: float | None
    only_arm: int | None
    only_baseline: int | None
    note: str | None


@dataclass(frozen=True, slots=True)
class CasePair:
    """`shown`: the published numbers; `decisive`: the same with the interval that decides."""

    tests: PairedTests
    shown: Contrast
    decisive: Contrast

    @property
    def note(self) -> str:
        """The tests in words."""
        found = self.tests
        if found.difference is None:
            return found.note or ""
        text = f"paired t over {found.cases} cases"
        if found.left_out:
            text += f" ({found.left_out} that an arm did not finish are left out)"
        if found.signed_rank_p_value is not None:
            text += f"; Wilcoxon p {found.signed_rank_p_value:.3g}"
        if found.mcnemar_p_value is not None:
            text += f"; McNemar p {found.mcnemar_p_value:.3g}"
        return text


def case_pair(names: tuple[str, str, str], arm: ByCase, baseline: ByCase, level: Level) -> CasePair:
    """Of the cases that both have. `names`: of the metric, the arm and the baseline."""
    both = sorted(arm.keys() & baseline.keys())
    mine = np.array([arm[case] for case in both], np.float64)
    other = np.array([baseline[case] for case in both], np.float64)
    found = paired.differences(mine, other)
    fixed: Result
    decisive: Result
    anytime: Result
    log_e = None
    if isinstance(found, NoEstimate):
        fixed = decisive = anytime = found
    else:
        gap = paired.difference(found)
        fixed = paired.paired_t(found, level.alpha)
        decisive = paired.paired_t(found, level.tuning.alpha)
        anytime = confidence_sequence(gap, level.tuning)
        if isinstance(anytime, Estimate):
            log_e = log_e_value(gap.value / gap.error, gap.effective_n * level.tuning.rho_squared)
    once, always = Numbers.of(fixed, 1), Numbers.of(anytime, level.family)
    passed = _discordant(mine, other)
    tests = PairedTests(
        *names,
        cases=len(both),
        left_out=len(arm.keys() | baseline.keys()) - len(both),
        difference=once.value,
        t_p_value=once.p_value,
        t_lower=once.lower,
        t_upper=once.upper,
        anytime_p_value=always.p_value,
        anytime_lower=always.lower,
        anytime_upper=always.upper,
        signed_rank_p_value=_p_value(paired.signed_rank(mine, other)),
        mcnemar_p_value=None if passed is None else _p_value(paired.mcnemar(passed)),
        only_arm=None if passed is None else passed.model,
        only_baseline=None if passed is None else passed.baseline,
        note=next((e.reason for e in (fixed, anytime) if isinstance(e, NoEstimate)), None),
    )
    shown = Contrast("means", fixed, anytime, log_e)
    return CasePair(tests, shown, Contrast("means", decisive, decisive, log_e))


def _p_value(result: float | NoEstimate) -> float | None:
    return None if isinstance(result, NoEstimate) else result


def _discordant(mine: paired.Values, other: paired.Values) -> paired.Discordant | None:
    """None: not every value is 0 or 1, or there is none."""
    if not len(mine) or not np.isin([mine, other], (0.0, 1.0)).all():
        return None
    return paired.discordant(mine == 1, other == 1)
