"""What cannot be estimated is a typed absence with a reason, for every method.

No variance, one unit, an empty arm, all successes, values of 1e12, a metric that is missing. The
last test fails when a public function of the package is in no table here.
"""

import dataclasses
import importlib
import inspect
import math
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any, get_args

import numpy as np
import pytest

import streams.statistics as package
from streams.sketch import keys
from streams.statistics import (
    adjustment,
    assignment,
    bandit,
    bayes,
    calibration,
    clusters,
    delayed,
    drift,
    equivalence,
    evidence,
    exact,
    looks,
    means,
    moments,
    multiple,
    offpolicy,
    one_sided,
    online_fdr,
    paired,
    pairs,
    pieces,
    planned,
    planning,
    quantiles,
    ranking,
    ranks,
    rates,
    regression,
    sequential,
    single,
    spending,
    srm,
    strata,
    sums,
    winsor,
)
from streams.statistics.bandit import Logged
from streams.statistics.clusters import UnitSums
from streams.statistics.estimates import NoEstimate
from streams.statistics.exact import Bounds
from streams.statistics.means import Difference
from streams.statistics.moments import Moments
from streams.statistics.paired import Discordant
from streams.statistics.quantiles import Sketch
from streams.statistics.rates import Rate
from streams.statistics.regression import Cross
from streams.statistics.sequential import Tuning
from streams.statistics.spending import Spending
from streams.statistics.sums import Sums

NOTHING: list[float] = []
ONE = [3.0]
SAME = [0.1] * 400
HUGE = [1e12 + i % 2 * 1e-4 for i in range(400)]
BAD = {"empty": NOTHING, "one unit": ONE, "no variance": SAME, "1e12": HUGE}
GOOD = Moments(400, 1.0, 399.0)
TUNING = Tuning(0.05, 400)
EARLY = Difference(1.0, 0.1, 50.0, 50)
EDGE = Moments(400, 1e308, 1e300)
FAR = Moments(400, -1e308, 1e300)


def sketched(values: list[float]) -> Sketch:
    bins, counts = np.unique(keys(np.array(values, float)), return_counts=True)
    return Sketch(bins.tolist(), counts.tolist())


def units(values: list[float]) -> UnitSums:
    return UnitSums.of_units(values, [1.0] * len(values), math.fsum(v * v for v in values))


def cross(values: list[float]) -> Cross:
    return Cross.of_units(values, np.arange(float(len(values)))[:, None] ** 2)


def in_pieces(values: list[float]) -> pieces.Pieces:
    """Each unit with one value in each of three pieces."""
    return pieces.Pieces.of_units(
        [[v] * 3 for v in values] or [[0.0] * 3], [[1.0] * 3] * len(values) or [[0.0] * 3]
    )


FINE = sketched([1.0, 2.0, 4.0] * 50)
WIDE = winsor.Caps(0.0, 10.0)
FROM_VALUES: dict[str, Callable[[list[float]], Any]] = {
    "moments.moments": lambda v: moments.moments(Sums.of_values(v)),
    "clusters.moments": lambda v: clusters.moments(units(v)),
    "clusters.design_effect": lambda v: clusters.design_effect(units(v)),
    "adjustment.cuped": lambda v: adjustment.cuped(units(v), units(v)),
    "regression.adjusted": lambda v: regression.adjusted(cross(v), cross(v)),
    "pieces.effects": lambda v: pieces.effects(in_pieces(v), in_pieces(v)),
    "paired.differences": lambda v: paired.differences(np.array(v), np.zeros(len(v))),
    "ranks.mann_whitney": lambda v: ranks.mann_whitney(sketched(v), sketched(v)),
    "ranks.superiority": lambda v: ranks.superiority(sketched(v), sketched(v)),
    "winsor.winsorised": lambda v: winsor.winsorised(Sums.of_values(v), sketched(v), WIDE),
    "offpolicy.doubly_robust": lambda v: offpolicy.doubly_robust(
        [1.0] * len(v), v, [0.0] * len(v), [0.0] * len(v)
    ),
}
"""Every one of these for every one of BAD."""
NOT_SO = {
    # From 1e12 and digits that follow it, these lose nothing.
    ("paired.differences", "1e12"),
}


@pytest.mark.parametrize("name", FROM_VALUES)
@pytest.mark.parametrize("kind", BAD)
def test_values_without_spread_or_digits(name: str, kind: str) -> None:
    found = FROM_VALUES[name](BAD[kind])
    if (name, kind) in NOT_SO:
        assert not isinstance(found, NoEstimate)
        return
    assert isinstance(found, NoEstimate), found
    assert found.reason


ALL = Rate(100, 100)
NONE = Rate(100, 0)
ABSENT: dict[str, Callable[[], Any]] = {
    "rates.rate": lambda: rates.rate(Sums()),
    "rates.rate ": lambda: rates.rate(Sums.of_values([0.5])),
    "rates.two_proportions": lambda: rates.two_proportions(ALL, ALL, 0.05),
    "rates.chi_square": lambda: rates.chi_square([NONE, NONE]),
    "rates.fisher": lambda: rates.fisher(ALL, ALL),
    "means.welch": lambda: means.welch(EDGE, FAR, 0.05),
    "means.student": lambda: means.student(EDGE, FAR, 0.05),
    "means.relative": lambda: means.relative(GOOD, Moments(400, 0.0, 399.0)),
    "means.relative ": lambda: means.relative(EDGE, GOOD),
    "means.normal": lambda: means.normal(Difference(1.0, math.inf, 1.0, 1), 0.05),
    "sequential.confidence_sequence": lambda: sequential.confidence_sequence(EARLY, TUNING),
    "sequential.evidence": lambda: sequential.evidence(EARLY, TUNING),
    "sequential.evidence ": lambda: sequential.evidence(
        Difference(1e300, 1e-300, 400.0, 400), TUNING
    ),
    "sequential.too_few": lambda: sequential.too_few(EARLY),
    "one_sided.lower_bound": lambda: one_sided.lower_bound(EARLY, TUNING),
    "equivalence.anytime_equivalence": lambda: equivalence.anytime_equivalence(EARLY, 1.0, TUNING),
    "equivalence.anytime_non_inferiority": lambda: equivalence.anytime_non_inferiority(
        EARLY, 1.0, TUNING
    ),
    "exact.bounded_sequence": lambda: exact.bounded_sequence(Sums(), Bounds(), 0.05),
    "exact.bounded_sequence ": lambda: exact.bounded_sequence(
        Sums.of_values([1e12]), Bounds(), 0.05
    ),
    "quantiles.fixed": lambda: quantiles.fixed(sketched(ONE), 0.5, 0.05),
    "quantiles.anytime": lambda: quantiles.anytime(Sketch([], []), 0.5, 0.05),
    "quantiles.difference": lambda: quantiles.difference(FINE, sketched(ONE), 0.5, 0.05),
    "planned.judged": lambda: planned.judged(planned.Seen(1e308, -1e308, 1.7e308, 0.5, 0.05), 12.0),
    "ranks.bounded": lambda: ranks.bounded(Difference(0.5, 0.1, 50.0, 50), 0.05),
    "winsor.caps": lambda: winsor.caps([Sketch([], [])]),
    "winsor.caps ": lambda: winsor.caps([sketched(SAME)], 0.25, 0.75),
    "winsor.widened": lambda: winsor.widened(NoEstimate("no values")),
    "strata.stratified": lambda: strata.stratified({}),
    "strata.stratified ": lambda: strata.stratified({"x": (EDGE, FAR)}),
    "drift.novelty": lambda: drift.novelty([EARLY, EARLY]),
    "drift.novelty ": lambda: drift.novelty([EARLY] * 3, correlation=np.ones((3, 3))),
    "drift.novelty  ": lambda: drift.novelty(
        [Difference(s * 1e308, 1e-300, 9, 9) for s in (1, -1, 1)]
    ),
    "drift.carry_over": lambda: drift.carry_over([]),
    "drift.before_start": lambda: drift.before_start(EDGE, FAR),
    "assignment.assignment": lambda: assignment.assignment([0, 0], [0.5, 0.5], 0),
    "evidence.across": lambda: evidence.across([]),
    "bandit.counterfactual": lambda: bandit.counterfactual(Logged()),
    "offpolicy.inverse_propensity": lambda: offpolicy.inverse_propensity(Logged()),
    "offpolicy.doubly_robust_by_choice": lambda: offpolicy.doubly_robust_by_choice(
        [{"a": Logged(40, 40, 40, 1e200, 1e200, math.inf)}] * 2, {"a": 1.0}
    ),
    "offpolicy.propensities_p": lambda: offpolicy.propensities_p(Logged()),
    "offpolicy.at_one_look": lambda: offpolicy.at_one_look(EDGE, -1e308),
    "delayed.standardised": lambda: delayed.standardised([]),
    "paired.paired_t": lambda: paired.paired_t(Moments(9, 1.0, 1e-60), 0.05),
    "paired.signed_rank": lambda: paired.signed_rank(np.ones(5), np.ones(5)),
    "paired.mcnemar": lambda: paired.mcnemar(Discordant(0, 0)),
    "ranking.bradley_terry": lambda: ranking.bradley_terry(["a"], np.zeros((1, 1))),
}


@pytest.mark.parametrize("name", ABSENT)
def test_what_cannot_be_said_is_not_said(name: str) -> None:
    found = ABSENT[name]()
    assert isinstance(found, NoEstimate), found
    assert found.reason


def numbers(value: Any) -> Iterator[float]:
    """Every number in a result."""
    if isinstance(value, bool | str) or value is None:
        return
    if isinstance(value, int | float):
        yield float(value)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from numbers(getattr(value, field.name))
    elif isinstance(value, dict):
        for inner in value.values():
            yield from numbers(inner)
    elif isinstance(value, list | tuple | np.ndarray):
        for inner in value:
            yield from numbers(inner)


KIND: Spending = "pocock"
FINITE: dict[str, Callable[[], Any]] = {
    "rates.two_proportions": lambda: rates.two_proportions(ALL, NONE, 0.05),
    "rates.fisher": lambda: rates.fisher(Rate(10**6, 10**6), Rate(10**6, 0)),
    "rates.chi_square": lambda: rates.chi_square([ALL, NONE]),
    "rates.difference": lambda: rates.difference(ALL, ALL),
    "rates.wilson": lambda: rates.wilson(NONE, 1.96),
    "rates.expected_minimum": lambda: rates.expected_minimum([ALL, ALL]),
    "exact.rate_sequence": lambda: [exact.rate_sequence(r, 0.05) for r in (ALL, NONE, Rate(1, 1))],
    "exact.log_e_value": lambda: exact.log_e_value(ALL, 0.5),
    "exact.gamma_exponential": lambda: exact.gamma_exponential(0.0, 1.0, 0.05),
    "bayes.beliefs": lambda: bayes.beliefs([bayes.BetaPosterior.of(r) for r in (ALL, NONE)]),
    "means.difference": lambda: means.difference(GOOD, Moments(2, 1e12, 1e-300)),
    "equivalence.equivalence": lambda: equivalence.equivalence(GOOD, GOOD, 1e12),
    "equivalence.non_inferiority": lambda: equivalence.non_inferiority(GOOD, GOOD, 0.0),
    "multiple.holm": lambda: multiple.holm([0.0, 1.0]),
    "multiple.benjamini_hochberg": lambda: multiple.benjamini_hochberg([]),
    "multiple.e_benjamini_hochberg": lambda: multiple.e_benjamini_hochberg([1e9, -1e9]),
    "multiple.bonferroni_alpha": lambda: multiple.bonferroni_alpha(0.05, 0),
    "multiple.bonferroni_p": lambda: multiple.bonferroni_p(0.5, 9),
    "online_fdr.share": lambda: online_fdr.share(1),
    "srm.log_e_value": lambda: srm.log_e_value((0, 0), (0.5, 0.5)),
    "srm.log_e_of": lambda: srm.log_e_of((10**9, 0), (0.5, 0.5), 10.0),
    "srm.p_value": lambda: srm.p_value(1e9),
    "evidence.p_value": lambda: evidence.p_value(1e9),
    "evidence.log_product": lambda: evidence.log_product([]),
    "evidence.log_mean": lambda: evidence.log_mean([1e6, -1e6]),
    "evidence.log_weighted": lambda: evidence.log_weighted([1e6, -1e6], [1, 1]),
    "evidence.log_calibrated": lambda: evidence.log_calibrated(2.0**-1022),
    "evidence.offline_then_online": lambda: evidence.offline_then_online(1e-300, 5.0),
    "sequential.always_valid_p": lambda: sequential.always_valid_p(1e6, 8.0),
    "sequential.log_e_value": lambda: sequential.log_e_value(1e6, 8.0),
    "sequential.factor": lambda: sequential.factor(1e-6, 1e-12),
    "sequential.values_min": lambda: sequential.values_min(EARLY),
    "one_sided.factor": lambda: one_sided.factor(1e-3, 1e-9),
    "one_sided.log_e_value": lambda: one_sided.log_e_value(-1e3, 8.0),
    "spending.bounds": lambda: [
        spending.bounds([1e-3, 1.0], 0.05, kind) for kind in get_args(Spending)
    ],
    "spending.spent": lambda: spending.spent(1e-9, 0.05, KIND),
    "spending.repeated": lambda: spending.repeated(1e300, 1e-300, 2.0),
    "spending.survived": lambda: spending.survived(np.zeros(1), np.ones(1), 2.0, 1.0, 5),
    "looks.course": lambda: looks.course([0.5, 1.0], [9.0, 9.0], 0.0).crossed,
    "looks.evenly": lambda: looks.evenly(3),
    "looks.limits": lambda: looks.limits("anytime", 2, 0.05),
    "looks.anytime_limits": lambda: looks.anytime_limits([0.01], 0.05),
    "looks.needed_drift": lambda: looks.needed_drift("fixed", 1, 0.05, 0.8),
    "planned.needed_p": lambda: planned.needed_p(50.0),
    "planning.sample_size": lambda: planning.sample_size(1e-9, 1e9, planning.Plan()),
    "planning.detectable": lambda: planning.detectable(1, 1e12, planning.Plan()),
    "planning.deviation_of_rates": lambda: planning.deviation_of_rates(0.0, 1.0),
    "planning.days_left": lambda: planning.days_left(10, 1, 0.0),
    "planning.beside": lambda: planning.beside(planning.Question(1e-6, 1e6), at_looks=2),
    "bandit.floored": lambda: bandit.floored([1.0, 0.0], 0.1),
    "bandit.thompson": lambda: bandit.thompson([bayes.BetaPosterior.of(ALL)] * 2, 0.0),
    "bandit.top_two": lambda: bandit.top_two(
        [bayes.BetaPosterior.of(r) for r in (ALL, NONE)], 0.1, np.random.default_rng(1), draws=50
    ),
    "delayed.settled": lambda: delayed.settled(delayed.Ages(), delayed.Delays((), ())),
    "delayed.late_belief": lambda: delayed.late_belief(delayed.Ages(), delayed.Delays((), ())),
    "offpolicy.above": lambda: offpolicy.above(GOOD, 1.0),
    "offpolicy.gain": lambda: offpolicy.gain(GOOD, GOOD),
    "paired.discordant": lambda: paired.discordant(np.array([True]), np.array([True])),
    "paired.difference": lambda: paired.difference(GOOD),
    "pairs.every_pair": lambda: pairs.every_pair({"a": GOOD, "b": NoEstimate("no values")}),
    "pairs.with_baseline": lambda: pairs.with_baseline({"a": GOOD, "b": EDGE}, "a"),
    "pairs.places": lambda: pairs.places({"a": GOOD, "b": NoEstimate("no values")}, []),
    "pairs.anytime": lambda: pairs.anytime(400)(GOOD, GOOD, 0.05),
    "sums.fixed": lambda: sums.fixed(1e12) / sums.fixed(1.0),
    "sums.dump": lambda: sums.dump(Sums()),
    "sums.load": lambda: sums.load(sums.dump(Sums.of_values([2.0]))).mean,
    "calibration.bound": lambda: calibration.bound(0.05, 10),
    "single.interval": lambda: [
        single.interval(Sums.of_values(values), 0.05)
        for values in ([], [1.0], [1.0, 1.0], [0.0, 3.5], [1e12, -1e12])
    ],
}


@pytest.mark.parametrize("name", FINITE)
def test_extremes_stay_finite(name: str) -> None:
    for number in numbers(FINITE[name]()):
        assert math.isfinite(number)


ELSEWHERE = {
    "estimates.estimate": "the guard itself: tests of means",
    "calibration.anytime": "test_calibration",
    "calibration.one_sided": "test_calibration",
    "calibration.fixed": "test_calibration",
    "calibration.planned": "test_calibration",
    "calibration.running": "test_calibration",
    "calibration.drawn": "test_calibration",
    "calibration.split": "test_calibration",
}


def test_every_public_function_is_in_a_table() -> None:
    tested = {name.strip() for name in (*FROM_VALUES, *ABSENT, *FINITE)} | set(ELSEWHERE)
    public = set()
    for module in pkgutil.iter_modules(package.__path__):
        inside = importlib.import_module(f"{package.__name__}.{module.name}")
        for name, value in vars(inside).items():
            function = inspect.isfunction(value) or hasattr(value, "cache_info")
            mine = getattr(value, "__module__", "") == inside.__name__
            if function and mine and not name.startswith("_"):
                public.add(f"{module.name}.{name}")
    assert public - tested == set()
    assert tested - public == set()
