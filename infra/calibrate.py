"""A/A calibration on one's own values: random splits, in which every finding is false.

Values are one a unit: what a unit did in many calls is one mean, since calls of a unit depend on
each other.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from infra.errors import OperatorError
from sinks.ab_units import AbUnits
from streams.statistics import calibration, looks
from streams.statistics.calibration import Calibration, Plan, Shift

Floats = npt.NDArray[np.float64]
UNITS_MAX = 200_000
"""More are not read: a sample of this size says the same."""
UNITS_MIN = 400
VALUES_AT_ONCE = 1_000_000
SUSPECT = 0.001
"""A method fails when so many false findings had this probability, if it were right."""


@dataclass(frozen=True, slots=True)
class Options:
    """`effect`: a difference in the metric's unit, or in percent of the mean ("5%"); None: what the
    anytime method finds in 80 % of tests. `ratio`: baseline units for each unit of the arm."""

    tests: int = 1000
    looks: int = 20
    alpha: float = 0.05
    ratio: float = 1.0
    effect: str | None = None
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Row:
    """One method. `p_value`: of 'it is wrong in at most alpha of tests'. `promised`: whether that
    is what it promises. `used`: share of the values until it found the effect, on average."""

    method: str
    false_positives: float
    p_value: float
    promised: bool
    power: float
    used: float

    @property
    def holds(self) -> bool:
        return not self.promised or self.p_value >= SUSPECT


@dataclass(frozen=True, slots=True)
class Report:
    """What a calibration says. `bound`: false positives that a sound method rarely exceeds."""

    units: int
    mean: float
    deviation: float
    per_arm: tuple[int, int]
    effect: float
    bound: float
    rows: tuple[Row, ...]

    @property
    def sound(self) -> bool:
        return all(row.holds for row in self.rows)


def from_file(path: Path, value: str, unit: str | None) -> Floats:
    """One mean a unit, from a CSV or Parquet file with a row a call or a unit.

    `unit`: the column of units; without one, every row is a unit. Rows without a value are left
    out. Raises OperatorError.
    """
    if not path.is_file():
        raise OperatorError(f"there is no file {path}.")
    try:
        parquet = path.suffix.lower() in (".parquet", ".pq")
        frame = pl.read_parquet(path) if parquet else pl.read_csv(path, infer_schema_length=10_000)
    except (pl.exceptions.PolarsError, OSError) as error:
        first = str(error).splitlines()[0]
        raise OperatorError(f"{path} is no readable CSV or Parquet file: {first}") from error
    for name in (value, unit):
        if name is not None and name not in frame.columns:
            raise OperatorError(
                f"{path} has no column {name}; it has {', '.join(frame.columns)}. "
                "Name yours with --value and --unit."
            )
    if not frame[value].dtype.is_numeric():
        raise OperatorError(f"column {value} of {path} holds no numbers ({frame[value].dtype}).")
    frame = frame.drop_nulls(value)
    if unit is not None:
        frame = frame.group_by(unit, maintain_order=True).agg(pl.col(value).mean())
    return _checked(frame[value].cast(pl.Float64).to_numpy(), str(path))


def from_clickhouse(units: AbUnits, org: str, test: str, metric: str, arm: str | None) -> Floats:
    """The units of one arm of an A/B test, the largest by default. Raises OperatorError."""
    sizes = {name: sums.units for name, sums in units.sums(org, test, metric).items()}
    if not sizes:
        raise OperatorError(
            f"no calls of A/B test {test} of {org} have {metric}: check the three names; "
            "calls are kept for 30 days."
        )
    chosen = arm or max(sizes, key=lambda name: sizes[name])
    if chosen not in sizes:
        raise OperatorError(f"test {test} has no arm {chosen}; it has {', '.join(sizes)}.")
    values = units.values(org, test, metric, chosen, UNITS_MAX)
    return _checked(np.array(values, np.float64), f"arm {chosen} of {test}")


def _checked(values: Floats, source: str) -> Floats:
    if len(values) and not np.isfinite(values).all():
        raise OperatorError(f"{source} has values that are not finite: leave them out.")
    if len(values) < UNITS_MIN:
        raise OperatorError(
            f"{source} has {len(values)} units: too few to split at random, at least {UNITS_MIN} "
            "are needed."
        )
    if values.min() == values.max():
        raise OperatorError(f"all {len(values)} values of {source} are {values[0]:g}: no spread.")
    return values[:UNITS_MAX]


def calibrate(values: Floats, options: Options, advance: Callable[[int], None]) -> Report:
    """Splits the values `tests` times without a difference and as often with the effect.

    `advance` is called with how many of the 2 * tests splits were made since its last call.
    """
    plan = _plan(len(values), options)
    rng = np.random.default_rng(options.seed)
    effect = _effect(values, options, plan)
    binary = bool(np.isin(values, (0.0, 1.0)).all())
    rate = float(values.mean())
    if binary and not 0 < rate + effect < 1:
        raise OperatorError(f"a rate of {rate:.3g} cannot differ by {effect:.3g}: name a smaller.")
    done: dict[str, Calibration] = {}
    for name, difference in (("none", 0.0), ("effect", effect)):
        found = done[name] = Calibration(plan)
        left = options.tests
        most = max(1, VALUES_AT_ONCE // len(values))
        while left > 0:
            some = Plan(min(left, most), plan.looks, plan.batch, plan.ratio, plan.alpha)
            found.add(calibration.split(values, some, rng, Shift(difference, binary)))
            advance(some.tests)
            left -= some.tests
    rows = tuple(_row(way, done["none"], done["effect"], options) for way in calibration.WAYS)
    return Report(
        len(values),
        float(values.mean()),
        float(values.std(ddof=1)),
        plan.sizes,
        effect,
        calibration.bound(options.alpha, options.tests),
        rows,
    )


def _plan(units: int, options: Options) -> Plan:
    batch = int(units / (options.looks * (1 + options.ratio)))
    plan = Plan(options.tests, options.looks, batch, options.ratio, options.alpha)
    while batch > 1 and sum(plan.sizes) > units:
        batch -= 1
        plan = Plan(options.tests, options.looks, batch, options.ratio, options.alpha)
    if batch < 2 or min(plan.sizes) < 2 * options.looks:
        raise OperatorError(
            f"{units} units are too few for {options.looks} looks at arms of 1 : "
            f"{options.ratio:g}: name fewer with --looks."
        )
    return plan


def _effect(values: Floats, options: Options, plan: Plan) -> float:
    if options.effect is None:
        n1, n0 = plan.sizes
        drift = looks.needed_drift("anytime", options.looks, options.alpha, 0.8)
        return drift * float(values.std(ddof=1)) * float(np.sqrt(1 / n1 + 1 / n0))
    text = options.effect.strip()
    try:
        number = float(text.removesuffix("%"))
    except ValueError:
        raise OperatorError(f"--effect {text} is neither a number nor a percentage.") from None
    effect = number / 100 * float(values.mean()) if text.endswith("%") else number
    if effect == 0 or not np.isfinite(effect):
        raise OperatorError(f"--effect {text} is no difference.")
    return effect


def _row(way: str, none: Calibration, shifted: Calibration, options: Options) -> Row:
    nothing, something = none.found[way], shifted.found[way]
    return Row(
        way,
        nothing.rate,
        nothing.above(options.alpha),
        way != "fixed, every look",
        something.rate,
        something.used,
    )


def as_json(report: Report) -> dict[str, Any]:
    """For programs."""
    return {
        "units": report.units,
        "mean": report.mean,
        "deviation": report.deviation,
        "units_arm": report.per_arm[0],
        "units_baseline": report.per_arm[1],
        "effect": report.effect,
        "bound": report.bound,
        "sound": report.sound,
        "methods": [
            {
                "method": row.method,
                "false_positive_rate": row.false_positives,
                "p_value": row.p_value,
                "promised": row.promised,
                "holds": row.holds,
                "power": row.power,
                "values_used": row.used,
            }
            for row in report.rows
        ],
    }
