"""Simulated tests: values of several kinds, single or in units, as paths over their looks."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from streams.statistics import calibration
from streams.statistics.calibration import Draw, Floats, Paths, Running

LOOKS = 100
BATCH = 20
"""Values of each arm between two looks, times its share."""
VALUES_AT_ONCE = 1_000_000
UNITS = 5


@dataclass(frozen=True, slots=True)
class Values:
    """A distribution. `mean` is the true one. `binary`: values are 0 and 1."""

    name: str
    draw: Draw
    mean: float
    binary: bool = False


NORMAL = Values("normal", lambda rng, shape: rng.normal(size=shape), 0.0)
SKEWED = Values("lognormal, σ = 1", lambda rng, shape: rng.lognormal(0, 1, shape), np.exp(0.5))
HEAVY = Values("Student's t, 3 degrees", lambda rng, shape: rng.standard_t(3, shape), 0.0)
RARE = Values(
    "rate of 1 %", lambda rng, shape: (rng.random(shape) < 0.01).astype(np.float64), 0.01, True
)
GUARANTEED = (NORMAL, SKEWED, HEAVY, RARE)
_CAP = 0.01 ** (-1 / 1.5) - 1
BEYOND = (
    Values("lognormal, σ = 2", lambda rng, shape: rng.lognormal(0, 2, shape), np.exp(2.0)),
    Values("Pareto 1.5 (no variance)", lambda rng, shape: rng.pareto(1.5, shape), 2.0),
    Values(
        "the same, winsorised at 99 %",
        lambda rng, shape: np.minimum(rng.pareto(1.5, shape), _CAP),
        2.0,
    ),
)
"""What the methods do not promise, and what winsorising makes of it."""


def chunks(tests: int, values: int) -> Iterator[int]:
    """How many tests at a time, so that memory stays small."""
    most = max(1, VALUES_AT_ONCE // values)
    while tests > 0:
        yield min(most, tests)
        tests -= most


def simulated(
    arm: Values, baseline: Values, shares: tuple[int, int], tests: int, seed: int
) -> Iterator[Paths]:
    """Paths of `tests` tests in chunks."""
    rng = np.random.default_rng(seed)
    sizes = [LOOKS * BATCH * share for share in shares]
    for some in chunks(tests, sum(sizes)):
        sides = [
            calibration.running(values.draw(rng, (some, size)), LOOKS, values.binary)
            for values, size in zip((arm, baseline), sizes, strict=True)
        ]
        yield Paths.of(*sides)


def clustered(tests: int, seed: int, by_units: bool) -> Iterator[Paths]:
    """Units of 1 to 20 events with means of their own (as much spread between as within).

    Five new units an arm come with every look; their errors are those of clusters.moments, or, as
    one should not, those of independent events.
    """
    rng = np.random.default_rng(seed)
    for some in chunks(tests, 2 * LOOKS * BATCH):
        yield Paths.of(*(_of_units(rng, some, by_units) for _ in range(2)))


def _of_units(rng: np.random.Generator, tests: int, by_units: bool) -> Running:
    shape = (tests, LOOKS, UNITS)
    m = rng.integers(1, 21, shape).astype(np.float64)
    mu = rng.normal(size=shape)
    noise = np.sqrt(m) * rng.normal(size=shape)
    x = m * mu + noise
    inside = noise**2 / m + 2 * rng.standard_gamma((m - 1) / 2)
    events_sq = m * mu**2 + 2 * mu * noise + inside

    def so_far(values: Floats) -> Floats:
        return np.asarray(np.cumsum(values.sum(axis=2), axis=1))

    sums = {name: so_far(v) for name, v in (("x", x), ("m", m), ("xx", x * x), ("mm", m * m))}
    ratio = sums["x"] / sums["m"]
    units = np.arange(1.0, LOOKS + 1) * UNITS
    if not by_units:
        n = sums["m"]
        variance = (so_far(events_sq) - n * ratio**2) / (n - 1)
        return Running(n, ratio, variance)
    residual = sums["xx"] - 2 * ratio * so_far(x * m) + ratio**2 * sums["mm"]
    return Running(units, ratio, residual / (sums["m"] / units) ** 2 / (units - 1))
