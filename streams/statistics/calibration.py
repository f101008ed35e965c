"""How often is a method wrong, and how often does it find something? By simulation, in columns.

Many tests at once: arrays with a row a test and a column a look. The formulas are those of means,
rates, sequential and spending, over arrays; tests/unit/statistics/test_calibration.py holds them to
the scalar functions. Values come from a generator, or from data of one's own, split at random: then
there is no difference, and every finding is false.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.special import bdtrc, log_ndtr, ndtri, stdtrit

from streams.statistics import looks as planned_looks
from streams.statistics.looks import Method
from streams.statistics.sequential import UNEQUAL, UNEQUAL_MIN, VALUES_MIN, Tuning

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Draw = Callable[[np.random.Generator, tuple[int, int]], Floats]
"""Values of an array of this shape (tests, values)."""


@dataclass(frozen=True, slots=True)
class Running:
    """One arm of every test at each look: values so far (looks,), and arrays (tests, looks)."""

    n: Floats
    mean: Floats
    variance: Floats


def running(values: Floats, looks: int, binary: bool = False) -> Running:
    """From values (tests, looks * batch) in the order in which they come.

    `binary`: values are 0 and 1, whose variance comes from one success and one failure more.
    """
    tests, total = values.shape
    batch = total // looks
    parts = values[:, : batch * looks].reshape(tests, looks, batch)
    n = np.arange(1.0, looks + 1) * batch
    sums = np.cumsum(parts.sum(axis=2), axis=1)
    mean = sums / n
    if binary:
        adjusted = (sums + 1) / (n + 2)
        return Running(n, mean, adjusted * (1 - adjusted))
    # Around each test's mean, so that digits are kept.
    center = values.mean(axis=1)[:, None, None]
    squares = np.cumsum(((parts - center) ** 2).sum(axis=2), axis=1)
    m2 = squares - n * (mean - center[:, :, 0]) ** 2
    return Running(n, mean, np.maximum(m2 / np.maximum(n - 1, 1), 0.0))


@dataclass(frozen=True, slots=True)
class Paths:
    """Differences of two arms at each look, as means.Difference has them; arrays (tests, looks)."""

    value: Floats
    error: Floats
    effective_n: Floats
    smaller_n: Floats
    freedom: Floats

    @classmethod
    def of(cls, arm: Running, baseline: Running) -> "Paths":
        v1, v0 = arm.variance / arm.n, baseline.variance / baseline.n
        squared = v1 + v0
        with np.errstate(divide="ignore", invalid="ignore"):
            effective = (arm.variance + baseline.variance) / squared
            share = v1 / squared
            freedom = 1 / (share**2 / (arm.n - 1) + (1 - share) ** 2 / (baseline.n - 1))
        smaller = np.broadcast_to(np.minimum(arm.n, baseline.n), squared.shape)
        return cls(arm.mean - baseline.mean, np.sqrt(squared), effective, smaller, freedom)

    def errors_off(self, truth: float) -> Floats:
        """How many standard errors the difference is from the truth; 0 where there is no spread,
        since there is no estimate then."""
        with np.errstate(divide="ignore", invalid="ignore"):
            z = np.abs(self.value - truth) / self.error
        return np.where(self.error > 0, z, 0.0)


def anytime(paths: Paths, tuning: Tuning, truth: float = 0.0) -> Bools:
    """At which looks the confidence sequence leaves out `truth`, as sequential has it."""
    x = paths.effective_n * tuning.rho_squared
    with np.errstate(invalid="ignore"):
        log_e = paths.errors_off(truth) ** 2 * x / (2 * (1 + x)) - 0.5 * np.log1p(x)
    unequal = paths.effective_n > UNEQUAL * paths.smaller_n
    enough = paths.smaller_n >= np.where(unequal, UNEQUAL_MIN, VALUES_MIN)
    return np.asarray((log_e > -np.log(tuning.alpha)) & enough)


def one_sided(paths: Paths, tuning: Tuning, truth: float = 0.0) -> Bools:
    """At which looks the anytime lower bound is above `truth`, as one_sided has it."""
    x = paths.effective_n * tuning.rho_squared
    share = x / (1 + x)
    z = np.where(paths.error > 0, (paths.value - truth) / np.maximum(paths.error, 1e-300), 0.0)
    log_e = np.log(2) - 0.5 * np.log1p(x) + z * z * share / 2 + log_ndtr(z * np.sqrt(share))
    unequal = paths.effective_n > UNEQUAL * paths.smaller_n
    enough = paths.smaller_n >= np.where(unequal, UNEQUAL_MIN, VALUES_MIN)
    return np.asarray((log_e > -np.log(tuning.alpha)) & enough)


def fixed(paths: Paths, alpha: float, truth: float = 0.0) -> Bools:
    """At which looks Welch's interval leaves out `truth`; right at one of them only."""
    freedom = np.where(paths.error > 0, paths.freedom, 1.0)
    return np.asarray(paths.errors_off(truth) > -stdtrit(freedom, alpha / 2))


def planned(paths: Paths, limits: Sequence[float], truth: float = 0.0) -> Bools:
    """At which of the planned looks |z| exceeds its bound."""
    return np.asarray(paths.errors_off(truth) > np.asarray(limits))


@dataclass(frozen=True, slots=True)
class Plan:
    """`tests` simulated tests of `looks` batches; `batch`: values an arm between two looks, the
    baseline's times `ratio`. `planned_n`: where the sequence is tightest; default: the middle."""

    tests: int = 1000
    looks: int = 50
    batch: int = 40
    ratio: float = 1.0
    alpha: float = 0.05
    planned_n: int | None = None

    @property
    def sizes(self) -> tuple[int, int]:
        """Values of the arm and of the baseline in the end."""
        return self.looks * self.batch, self.looks * max(1, round(self.batch * self.ratio))

    @property
    def tuning(self) -> Tuning:
        return Tuning(self.alpha, self.planned_n or max(self.sizes[0] // 2, 1))


@dataclass(slots=True)
class Tally:
    """How many of `tests` found something, and at which look on average. Mutable: it is filled."""

    tests: int = 0
    found: int = 0
    stopped_at: float = 0.0
    """Sum over tests of the share of the values that were used up to the first finding."""

    def add(self, findings: Bools) -> None:
        """One row a test, one column a look."""
        hit: Bools = np.asarray(findings.any(axis=1))
        first = np.where(hit, findings.argmax(axis=1) + 1, findings.shape[1])
        self.tests += len(hit)
        self.found += int(hit.sum())
        self.stopped_at += float(first.sum()) / findings.shape[1]

    @property
    def rate(self) -> float:
        return self.found / self.tests

    @property
    def used(self) -> float:
        """The share of the values that a test needs on average, stopping at its first finding."""
        return self.stopped_at / self.tests

    def above(self, alpha: float) -> float:
        """p-value of 'the true rate is at most alpha', from the number found (binomial)."""
        return 1.0 if not self.found else float(bdtrc(self.found - 1, self.tests, alpha))


def bound(alpha: float, tests: int, sureness: float = 0.999) -> float:
    """The share of findings that a true rate of `alpha` exceeds once in a thousand simulations.

    By the normal approximation with continuity correction; for thousands of tests.
    """
    z = float(ndtri(sureness))
    return float(alpha + z * np.sqrt(alpha * (1 - alpha) / tests) + 0.5 / tests)


WAYS = ("fixed, one look", "fixed, every look", "anytime", "obrien_fleming", "pocock")
"""`fixed, every look` is what not to do."""


@dataclass(slots=True)
class Calibration:
    """What each of WAYS found. Fill it with `add`, as many chunks of tests as wanted."""

    plan: Plan
    found: dict[str, Tally] = field(default_factory=lambda: {way: Tally() for way in WAYS})

    def add(self, paths: Paths, truth: float = 0.0) -> None:
        every = fixed(paths, self.plan.alpha, truth)
        self.found["fixed, one look"].add(every[:, -1:])
        self.found["fixed, every look"].add(every)
        self.found["anytime"].add(anytime(paths, self.plan.tuning, truth))
        ways: tuple[Method, ...] = ("obrien_fleming", "pocock")
        for way in ways:
            _, limits = planned_looks.limits(way, self.plan.looks, self.plan.alpha)
            self.found[way].add(planned(paths, limits, truth))


def drawn(
    arm: Draw, baseline: Draw, plan: Plan, rng: np.random.Generator, binary: bool = False
) -> Paths:
    """`plan.tests` tests at once; keep tests * values below some 10^7."""
    n1, n0 = plan.sizes
    sides = [
        running(draw(rng, (plan.tests, n)), plan.looks, binary)
        for draw, n in ((arm, n1), (baseline, n0))
    ]
    return Paths.of(*sides)


@dataclass(frozen=True, slots=True)
class Shift:
    """A difference that the arm's values are given: added, or for 0/1 values by turning zeros into
    ones (ones into zeros) at random until the rate differs by it."""

    difference: float = 0.0
    binary: bool = False

    def apply(self, values: Floats, rate: float, rng: np.random.Generator) -> Floats:
        if not self.binary:
            return values + self.difference
        if self.difference >= 0:
            chance = self.difference / (1 - rate) if rate < 1 else 0.0
            return np.maximum(values, rng.random(values.shape) < chance)
        chance = -self.difference / rate if rate > 0 else 0.0
        return values * (rng.random(values.shape) >= chance)


def split(
    values: Floats, plan: Plan, rng: np.random.Generator, shift: Shift | None = None
) -> Paths:
    """`plan.tests` random splits of one's own values, a value a unit, into an arm and a baseline.

    Each split draws without replacement, in a random order. Raises ValueError when there are fewer
    values than a test needs.
    """
    n1, n0 = plan.sizes
    if n1 + n0 > len(values):
        raise ValueError(f"a test of {n1} + {n0} values needs more than {len(values)}")
    shift = shift or Shift(binary=bool(np.isin(values, (0.0, 1.0)).all()))
    picks = np.stack([rng.permutation(len(values))[: n1 + n0] for _ in range(plan.tests)])
    chosen = values[picks]
    arm = shift.apply(chosen[:, :n1], float(values.mean()), rng)
    return Paths.of(
        running(arm, plan.looks, shift.binary),
        running(chosen[:, n1:], plan.looks, shift.binary),
    )
