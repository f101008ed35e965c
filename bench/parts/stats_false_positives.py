"""How often the statistics are wrong, over 10,000 simulated tests of each kind; and their power.

    python -m bench.parts.stats_false_positives --docs      minutes; writes the page of docs/

Every A/A test (no difference) is looked at after each of 100 batches; it is wrong when any look
finds something. A method that holds its level is above `bound` in one of a thousand simulations.
"""

from collections.abc import Callable, Iterator
from typing import Annotated

import numpy as np
import typer

from bench.figures import Figure
from bench.parts.stats_draws import (
    BATCH,
    BEYOND,
    GUARANTEED,
    LOOKS,
    NORMAL,
    RARE,
    SKEWED,
    Values,
    clustered,
    simulated,
)
from bench.parts.stats_page import ALPHA, PAGE, PLANNED_N, RATIOS, Line, Power, page
from streams.statistics import calibration, looks, srm
from streams.statistics.calibration import Bools, Floats, Paths, Plan, Tally
from streams.statistics.sequential import Tuning, factor

TESTS = 10_000


FIFTHS, LAST = slice(19, None, 20), slice(-1, None)
"""Of the looks: five evenly spaced ones, and the last."""
PLANNED: tuple[looks.Method, ...] = ("obrien_fleming", "pocock")
Find = Callable[[Paths], Bools]
TUNING = Tuning(ALPHA, PLANNED_N)


def anytime(paths: Paths) -> Bools:
    return calibration.anytime(paths, TUNING)


def tallied(found: Iterator[Paths], find: Find) -> Tally:
    tally = Tally()
    for paths in found:
        tally.add(find(paths))
    return tally


def false_positives(tests: int) -> Iterator[Line]:
    """Every distribution under every split, then clustered values and the other methods."""
    for values in GUARANTEED:
        for shares, batches in RATIOS.items():
            tally = tallied(simulated(values, values, batches, tests, 1), anytime)
            yield Line("anytime", values.name, shares, tally)
    for name, units in (("clustered, by units", True), ("clustered, by events", False)):
        tally = tallied(clustered(tests, 2, units), anytime)
        yield Line("anytime" if units else "not to do", name, "1 : 1", tally)
    for values in (NORMAL, SKEWED, RARE):
        paths = simulated(values, values, (1, 1), tests, 3)
        tally = tallied(paths, lambda p: calibration.one_sided(p, TUNING))
        yield Line("one-sided", values.name, "1 : 1", tally)
    for way in PLANNED:
        for values in (NORMAL, SKEWED, RARE):
            _, limits = looks.limits(way, 5, ALPHA)
            found = simulated(values, values, (1, 1), tests, 4)
            tally = tallied(found, lambda p, e=limits: calibration.planned(_at(p, FIFTHS), e))  # type: ignore[misc] # bound now
            yield Line(f"{way}, 5 looks", values.name, "1 : 1", tally)
    yield Line("split of traffic", "2 : 1 : 2", "60 looks", mismatches(min(tests, 2000), 5))
    for values in GUARANTEED:
        paths = simulated(values, values, (1, 1), tests, 6)
        tally = tallied(paths, lambda p: calibration.fixed(_at(p, LAST), ALPHA))
        yield Line("fixed, one look", values.name, "1 : 1", tally)
    paths = simulated(NORMAL, NORMAL, (1, 1), tests, 7)
    tally = tallied(paths, lambda p: calibration.fixed(p, ALPHA))
    yield Line("not to do", "fixed, at every look: normal", "1 : 1", tally)
    for values in BEYOND:
        for shares in ("1 : 1", "1 : 3", "1 : 10"):
            tally = tallied(simulated(values, values, RATIOS[shares], tests, 8), anytime)
            yield Line("beyond", values.name, shares, tally)


def coverage(tests: int) -> Iterator[Line]:
    """How often the interval leaves out a difference that is there, at any look."""
    moved = Values("moved", lambda rng, shape: 1.3 * SKEWED.draw(rng, shape), 1.3 * SKEWED.mean)
    better = Values(
        "better", lambda rng, shape: (rng.random(shape) < 0.013).astype(np.float64), 0.013, True
    )
    raised = Values("raised", lambda rng, shape: rng.normal(0.1, 2.0, shape), 0.1)
    for arm, baseline in ((raised, NORMAL), (moved, SKEWED), (better, RARE)):
        truth = arm.mean - baseline.mean
        for shares in ("1 : 1", "1 : 3"):
            paths = simulated(arm, baseline, RATIOS[shares], tests, 9)
            tally = tallied(paths, lambda p, t=truth: calibration.anytime(p, TUNING, t))  # type: ignore[misc] # bound now
            yield Line("coverage", f"{baseline.name}, a difference of {truth:.3g}", shares, tally)


def power(tests: int) -> Iterator[Power]:
    """Normal values, a difference that the anytime method finds in 80 % at the planned end.

    Published: for the sequence, Waudby-Smith et al. 2024, theorem 2.2 with rho of their eq. 12, on
    the same values; for planned looks, the recursion of Armitage et al. 1969.
    """
    plan = Plan(tests, LOOKS, BATCH, planned_n=LOOKS * BATCH)
    n = LOOKS * BATCH
    x_best = n * plan.tuning.rho_squared
    shift = (factor(x_best, ALPHA) + 0.8416) * np.sqrt(2 / n)
    arm = Values("shifted", lambda rng, shape: rng.normal(shift, 1.0, shape), shift)
    ours = theirs = stopped = total = 0
    planned = {way: Tally() for way in PLANNED}
    for paths in simulated(arm, NORMAL, (1, 1), tests, 10):
        ours += int(calibration.anytime(paths, plan.tuning)[:, -1].sum())
        stopped += int(calibration.anytime(paths, plan.tuning).any(axis=1).sum())
        theirs += int(published_sequence(paths, n)[:, -1].sum())
        total += len(paths.value)
        for way, tally in planned.items():
            _, limits = looks.limits(way, 5, ALPHA)
            weaker = Paths(paths.value - shift / 3, *_rest(paths))
            tally.add(calibration.planned(_at(weaker, FIFTHS), limits))
    yield Power("anytime, at the planned end", ours / total, theirs / total)
    fractions, ends = looks.limits("anytime", LOOKS, ALPHA)
    skip = [100.0 if f * n < 100 else z for f, z in zip(fractions, ends, strict=True)]
    drift = shift / np.sqrt(2 / n)
    course = looks.course(fractions, skip, drift)
    yield Power("anytime, at any look up to it", stopped / total, course.power)
    for way, tally in planned.items():
        fractions, ends = looks.limits(way, 5, ALPHA)
        expected = looks.course(fractions, ends, drift * 2 / 3).power
        yield Power(f"{way}, 5 looks", tally.rate, expected)


def published_sequence(paths: Paths, planned_n: int) -> Bools:
    """Theorem 2.2 with t, s and rho as there: t values an arm, s that of one difference."""
    limit = -2 * np.log(ALPHA)
    rho_squared = (limit + np.log(limit + 1)) / planned_n
    t = paths.smaller_n
    s = paths.error * np.sqrt(t)
    inner = (t * rho_squared + 1) / (t * t * rho_squared)
    half = s * np.sqrt(2 * inner * np.log(np.sqrt(t * rho_squared + 1) / ALPHA))
    return np.asarray(np.abs(paths.value) > half)


def _rest(paths: Paths) -> tuple[Floats, Floats, Floats, Floats]:
    return paths.error, paths.effective_n, paths.smaller_n, paths.freedom


def _at(paths: Paths, some: slice) -> Paths:
    """The paths at some of the looks."""
    return Paths(paths.value[:, some], *(part[:, some] for part in _rest(paths)))


def mismatches(tests: int, seed: int) -> Tally:
    """Sound splits that the mismatch test suspects, of 60 looks at 50 more units each."""
    rng = np.random.default_rng(seed)
    shares = (0.4, 0.2, 0.4)
    tally = Tally()
    for _ in range(tests):
        counts = np.cumsum(rng.multinomial(50, shares, size=60), axis=0).tolist()
        suspected = [srm.p_value(srm.log_e_value(row, shares)) < ALPHA for row in counts]
        tally.add(np.array([suspected]))
    return tally


PROMISED = ("anytime", "one-sided", "obrien_fleming, 5 looks", "pocock, 5 looks", "coverage")


def worst(lines: list[Line]) -> Line:
    """The highest rate of the methods that promise alpha at many looks."""
    return max((line for line in lines if line.table in PROMISED), key=lambda line: line.rate)


def simulate(tests: int, say: Callable[[str], None]) -> tuple[list[Line], list[Power]]:
    """Everything."""
    lines: list[Line] = []
    for line in (*false_positives(tests), *coverage(tests)):
        say(f"{line.table}: {line.what}, {line.how}: {line.rate:.2%}")
        lines.append(line)
    return lines, list(power(tests))


def figures(lines: list[Line], found: list[Power]) -> dict[str, Figure]:
    """What `make bench` records."""
    line = worst(lines)
    return {
        "stats.worst_false_positive_rate": round(line.rate, 4),
        "stats.worst_false_positive_bound": round(calibration.bound(ALPHA, line.tally.tests), 4),
        "stats.worst_false_positive_case": f"{line.table}: {line.what}, {line.how}",
        "stats.false_positive_tests": line.tally.tests,
        "stats.power_gap_points": round(max(one.gap_points for one in found), 2),
    }


def main(
    tests: Annotated[int, typer.Option(min=100, help="Simulated tests of each kind.")] = TESTS,
    docs: Annotated[bool, typer.Option("--docs", help="Write the page of docs/.")] = False,
) -> None:
    """Simulates, prints every line, and writes docs/statistics-simulations.md if asked."""
    lines, found = simulate(tests, print)
    for key, value in figures(lines, found).items():
        print(key, value)
    if docs:
        PAGE.write_text(page(lines, found, tests))


if __name__ == "__main__":
    typer.run(main)
