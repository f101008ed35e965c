"""The same numbers through other libraries, whose answers lie in tests/fixtures/statistics.

Tolerances are relative, unless an absolute one is stated; each says why it is not smaller.
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import optimize

from streams.statistics import (
    adjustment,
    clusters,
    exact,
    means,
    multiple,
    one_sided,
    paired,
    planning,
    ranks,
    rates,
    regression,
    sequential,
    spending,
    srm,
)
from streams.statistics.adjustment import Adjusted
from streams.statistics.bayes import NormalPosterior, beliefs
from streams.statistics.clusters import UnitSums
from streams.statistics.equivalence import equivalence
from streams.statistics.estimates import Estimate, NoEstimate
from streams.statistics.means import Difference
from streams.statistics.moments import Moments, moments
from streams.statistics.quantiles import Sketch
from streams.statistics.rates import Rate
from streams.statistics.sums import Sums

FOLDER = Path(__file__).parents[2] / "fixtures" / "statistics"
GIVEN = json.loads((FOLDER / "inputs.json").read_text())
SIDES = ("arm", "baseline")
LAST_DIGITS = 1e-9
"""Both sum doubles, in different orders."""


def answers(library: str) -> Any:
    return json.loads((FOLDER / f"{library}.json").read_text())["answers"]


def near(expected: Any, rel: float = LAST_DIGITS, tiny: float = 1e-12) -> Any:
    return pytest.approx(expected, rel=rel, abs=tiny)


def both(name: str) -> tuple[Moments, Moments]:
    found = [moments(Sums.of_values(GIVEN[name][side])) for side in SIDES]
    one, other = (m for m in found if isinstance(m, Moments))
    return one, other


def unit_sums(y: str, x: str) -> tuple[UnitSums, UnitSums]:
    one, other = (UnitSums.of_units(GIVEN[y][side], GIVEN[x][side]) for side in SIDES)
    return one, other


def ratios() -> tuple[Moments, Moments]:
    found = [clusters.moments(sums) for sums in unit_sums("spent", "calls")]
    one, other = (m for m in found if isinstance(m, Moments))
    return one, other


def adjusted() -> Adjusted:
    found = adjustment.cuped(*unit_sums("metric", "before"))
    assert isinstance(found, Adjusted)
    return found


def numbers(found: Estimate | NoEstimate) -> list[float]:
    assert isinstance(found, Estimate)
    return [found.value, found.lower, found.upper, found.p_value]


def rate_pair(name: str) -> tuple[Rate, Rate]:
    one, other = (Rate(GIVEN[name][side][1], GIVEN[name][side][0]) for side in SIDES)
    return one, other


def grades() -> tuple[Sketch, Sketch]:
    """Whole numbers are in bins of their own, so the sketch's ranks are exact."""
    from streams.sketch import keys

    found = []
    for side in SIDES:
        bins, counts = np.unique(keys(np.array(GIVEN["grades"][side], float)), return_counts=True)
        found.append(Sketch(bins.tolist(), counts.tolist()))
    return found[0], found[1]


def test_the_fixtures_say_where_they_come_from() -> None:
    found = {path.stem for path in FOLDER.glob("*.json")} - {"inputs"}
    assert {"scipy", "statsmodels", "gbstats", "tea-tasting", "savvi", "confseq"} <= found
    for name in found:
        record = json.loads((FOLDER / f"{name}.json").read_text())
        assert record["library"] == name
        assert record["version"]
        assert record["date"]


def test_scipy() -> None:
    said = answers("scipy")
    for name, method in (("welch", means.welch), ("student", means.student)):
        _, lower, upper, p_value = numbers(method(*both("metric"), 0.05))
        assert [p_value, lower, upper] == near(said[name])
    model, baseline = (np.array(GIVEN["cases"][side]) for side in ("model", "baseline"))
    gaps = paired.differences(model, baseline)
    assert isinstance(gaps, Moments)
    _, lower, upper, p_value = numbers(paired.paired_t(gaps, 0.05))
    assert [p_value, lower, upper] == near(said["paired_t"])
    rounded = np.round(model - baseline, 2)
    assert paired.signed_rank(rounded, np.zeros_like(rounded)) == near(said["wilcoxon"])
    assert ranks.mann_whitney(*grades()) == near(said["mann_whitney"])
    better = ranks.superiority(*grades())
    assert isinstance(better, Difference)
    assert better.value + 0.5 == near(said["superiority"])
    assert numbers(means.normal(better, 0.05))[3] == near(said["brunner_munzel"])
    for name in ("rates", "few"):
        assert rates.fisher(*rate_pair(name)) == near(said[f"fisher_{name}"])
        assert rates.chi_square(rate_pair(name)) == near(said[f"chi_square_{name}"])


def test_statsmodels() -> None:
    said = answers("statsmodels")
    _, lower, upper, p_value = numbers(rates.two_proportions(*rate_pair("rates"), 0.05))
    assert p_value == near(said["z"])
    assert [lower, upper] == near(said["newcombe"])
    assert equivalence(*both("metric"), 1.0) == near(said["tost"])
    assert multiple.holm(GIVEN["p_values"]) == near(said["holm"])
    assert multiple.benjamini_hochberg(GIVEN["p_values"]) == near(said["fdr_bh"])
    # Theirs counts the other tail too.
    needed = planning.sample_size(0.1, 1.0, planning.Plan(anytime=False))
    assert needed == pytest.approx(said["n"], abs=1)


def crossed() -> tuple[regression.Cross, regression.Cross]:
    one, other = (
        regression.Cross.of_units(
            GIVEN["metric"][side], np.column_stack([GIVEN["before"][side], GIVEN["other"][side]])
        )
        for side in SIDES
    )
    return one, other


@pytest.mark.parametrize(
    ("slopes", "rel"),
    [
        ("common", 0.01),  # one variance for both arms there, one each here
        ("own", 0.02),  # HC2 there; here one variance an arm and the common centre's error
    ],
)
def test_regression_is_statsmodels(slopes: Any, rel: float) -> None:
    value, error = answers("statsmodels")[f"{slopes}_slopes"]
    found = regression.adjusted(*crossed(), slopes)
    assert isinstance(found, Adjusted)
    difference = means.difference(found.arm, found.baseline)
    assert difference.value == near(value)
    assert difference.error == pytest.approx(error, rel=rel)


def of_gbstats(found: Difference) -> Estimate | NoEstimate:
    """Their clock is units of both arms, and their rho is the approximation of eq. 161."""
    alpha, planned = GIVEN["alpha"], GIVEN["planned"]
    limit = -2 * math.log(alpha)
    n = sum(len(GIVEN["metric"][side]) for side in SIDES)
    return _at(found, n * (limit + math.log(limit + 1)) / planned, alpha)


def _at(found: Difference, x: float, alpha: float) -> Estimate | NoEstimate:
    half = sequential.factor(x, alpha) * found.error
    p_value = sequential.always_valid_p(found.value / found.error, x)
    return Estimate(found.value, found.value - half, found.value + half, p_value)


def test_gbstats() -> None:
    said = answers("gbstats")
    value, *interval, p_value = numbers(means.welch(*both("metric"), 0.05))
    assert [value, *interval, p_value] == near(said["t"])
    share = means.relative(*both("metric"))
    assert isinstance(share, Difference)
    # Student's t with Welch's degrees of freedom there, the normal distribution here.
    ours = numbers(means.normal(share, 0.05))
    assert ours[1:3] == near(said["relative"][1:3], rel=0.005)
    assert ours[3] == pytest.approx(said["relative"][3], rel=0.05)
    assert share.value == near(said["relative"][0])
    # A factor of units / (units - 1) is in both; ours is of the residuals.
    assert numbers(means.welch(*ratios(), 0.05)) == near(said["ratio"], rel=1e-6)
    found = adjusted()
    # Their slope is of both arms together, ours within arms: they differ by the arms' difference.
    theirs = np.array(said["cuped"])
    ours = numbers(means.welch(found.arm, found.baseline, 0.05))
    assert ours[:3] == pytest.approx(theirs[:3], abs=0.01 * (theirs[2] - theirs[1]))
    assert ours[3] == pytest.approx(theirs[3], rel=0.05)
    assert numbers(of_gbstats(means.difference(*both("metric")))) == near(said["sequential"])
    assert numbers(of_gbstats(means.difference(*ratios()))) == near(
        said["sequential_ratio"], rel=1e-6
    )
    theirs = np.array(said["sequential_cuped"])
    ours = numbers(of_gbstats(means.difference(found.arm, found.baseline)))
    assert ours[:3] == pytest.approx(theirs[:3], abs=0.01 * (theirs[2] - theirs[1]))
    believed = beliefs([NormalPosterior.of(m) for m in both("metric")])
    assert believed[0].best == pytest.approx(said["chance_to_win"], abs=1e-6)


def test_gbstats_on_rates() -> None:
    """Our errors come from rates with one success and one failure added: wider by under 2 %."""
    value, lower, upper, _ = answers("gbstats")["sequential_rates"]
    arm, baseline = rate_pair("rates")
    limit = -2 * math.log(0.05)
    x = (arm.n + baseline.n) * (limit + math.log(limit + 1)) / GIVEN["planned"]
    found = numbers(_at(rates.difference(arm, baseline), x, 0.05))
    assert found[0] == near(value)
    assert 1 < (found[2] - found[1]) / (upper - lower) < 1.02


def test_tea_tasting() -> None:
    said = answers("tea-tasting")

    def theirs(name: str) -> list[float]:
        fields = ("effect_size", "effect_size_ci_lower", "effect_size_ci_upper", "pvalue")
        return [said[name][field] for field in fields]

    assert numbers(means.welch(*both("metric"), 0.05)) == near(theirs("mean"))
    assert numbers(means.student(*both("metric"), 0.05)) == near(theirs("student"))
    assert numbers(means.welch(*ratios(), 0.05)) == near(theirs("ratio"), rel=1e-6)
    found = adjusted()
    ours, other = numbers(means.welch(found.arm, found.baseline, 0.05)), theirs("cuped")
    # As gbstats: another slope.
    assert ours[:3] == pytest.approx(other[:3], abs=0.01 * (other[2] - other[1]))
    assert ranks.mann_whitney(*grades()) == near(said["ranks"]["pvalue"])
    better = ranks.superiority(*grades())
    assert isinstance(better, Difference)
    assert 2 * better.value == near(said["ranks"]["effect_size"])
    assert rates.chi_square(rate_pair("rates")) == near(said["rates"]["pvalue"])
    # Their percent is by the delta method too, on the logarithm: interval ends differ a little.
    share = means.relative(*both("metric"))
    assert isinstance(share, Difference)
    ends = numbers(means.normal(share, 0.05))[1:3]
    names = ("rel_effect_size_ci_lower", "rel_effect_size_ci_upper")
    assert ends == pytest.approx([said["mean"][name] for name in names], abs=3e-4)


def test_savvi() -> None:
    said = answers("savvi")
    shares = [share / sum(GIVEN["split"]["shares"]) for share in GIVEN["split"]["shares"]]
    counts = np.cumsum(GIVEN["split"]["batches"], axis=0).tolist()
    found = [math.exp(-srm.log_e_of(row, shares, 100.0)) for row in counts]
    # Theirs multiplies odds batch by batch.
    assert found == near(said["multinomial"])
    # Their mixture is of t statistics with 2,999 degrees of freedom, ours of normal ones.
    mixture = said["mixture_t"]
    repeated = np.tile(
        np.array(GIVEN["cases"]["model"]) - np.array(GIVEN["cases"]["baseline"]) - 0.015, 20
    )
    error = repeated.std(ddof=1) / math.sqrt(len(repeated))
    ours = numbers(
        _at(Difference(mixture["estimate"], error, 3000, 3000), len(repeated) / 20.0, 0.05)
    )
    assert repeated.mean() == pytest.approx(mixture["estimate"], rel=1e-6)
    assert ours[1:3] == pytest.approx(mixture["interval"], rel=0.01)
    assert ours[3] == pytest.approx(mixture["p_value"], rel=0.05)


def test_spotify_confidence() -> None:
    said = answers("spotify-confidence")
    assert numbers(means.welch(*both("metric"), 0.05)) == near(said["t"])
    assert numbers(means.normal(means.difference(*both("metric")), 0.05)) == near(said["z"])
    assert rates.chi_square(rate_pair("rates")) == near(said["chi_square"])
    found = adjusted()
    ours = numbers(means.normal(means.difference(found.arm, found.baseline), 0.05))
    other = said["regression"]
    # As gbstats: another slope.
    assert ours[:3] == pytest.approx(other[:3], abs=0.01 * (other[2] - other[1]))
    # They integrate on a coarser grid, and take each side alone.
    bounds = spending.bounds(GIVEN["looks"], 0.05, "cubic")
    assert bounds == pytest.approx(said["power_3_bounds"], abs=2e-3)


def test_confseq() -> None:
    """Its tests' values, printed to 7 digits: v = 100, alpha = 0.05, mixtures tuned to v."""
    said, v, alpha = answers("confseq"), 100, 0.05
    two = said["two_sided_normal"]
    x = v / two["best_rho"]
    assert math.sqrt(v) * sequential.factor(x, alpha) == near(two["bound"], rel=1e-6)
    assert sequential.log_e_value(1.0, x) == near(two["log_mixture_at_10"], rel=1e-6)
    tuned = -2 * math.log(2 * alpha)
    x = tuned + math.log1p(tuned)
    one = said["one_sided_normal"]
    assert math.sqrt(v) * one_sided.factor(x, alpha) == near(one["bound"], rel=1e-6)
    assert one_sided.log_e_value(1.0, x) == near(one["log_mixture_at_10"], rel=1e-6)
    # Scale 2 is scale 1 of half the values.
    bound = 2 * exact.gamma_exponential(v / 4, v / x / 4, alpha)
    assert bound == near(said["gamma_exponential_scale_2"]["bound"], rel=1e-6)


def test_confseq_on_rates() -> None:
    """Their sub-Bernoulli process of p = g / (g + h): v = g h n, and a beta prior around p worth
    rho / (g h) - 1 values, rho tuned to v. Their log mixture is ours."""
    said, v = answers("confseq")["two_sided_beta_binomial_0.2_0.8"], 100.0
    g, h = 0.2, 0.8
    n, limit = v / (g * h), -2 * math.log(0.05)
    weight = (v / (limit + math.log1p(limit)) - g * h) / (g * h)

    def log_e(s: float) -> float:
        p = g / (g + h)
        ones = n * p + s / (g + h)
        prior = p * weight, (1 - p) * weight
        return exact.log_e_value(Rate(round(n), ones), p, prior)  # type: ignore[arg-type] # halves

    assert log_e(10.0) == near(said["log_mixture_at_10"], rel=1e-5)
    bound = optimize.brentq(lambda s: log_e(s) + math.log(0.05), 1, 60)
    assert bound == near(said["bound"], rel=1e-5)
