"""The page of docs/ that shows how often the statistics are wrong."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from bench.parts.stats_draws import BATCH, LOOKS
from streams.statistics import calibration
from streams.statistics.calibration import Tally

PAGE = Path(__file__).parents[2] / "docs" / "statistics-simulations.md"
ALPHA = 0.05
PLANNED_N = 1000
RATIOS = {"1 : 1": (1, 1), "1 : 3": (1, 3), "3 : 1": (3, 1), "1 : 10": (1, 10), "10 : 1": (10, 1)}
"""How many batches of the arm and of the baseline come between two looks."""


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a table: `tally` of `what` under `how`."""

    table: str
    what: str
    how: str
    tally: Tally

    @property
    def rate(self) -> float:
        return self.tally.rate


@dataclass(frozen=True, slots=True)
class Power:
    """Found at the planned end, in the simulation and by the formula it is held against."""

    method: str
    simulated: float
    published: float

    @property
    def gap_points(self) -> float:
        return 100 * abs(self.simulated - self.published)


def page(lines: list[Line], found: list[Power], tests: int) -> str:
    """The page of docs/."""
    bound = calibration.bound(ALPHA, tests)
    parts = [_HEAD.format(tests=tests, looks=LOOKS, batch=BATCH, planned=PLANNED_N, bound=bound)]
    parts.append(_matrix([line for line in lines if line.table == "anytime"]))
    parts.append(_BEYOND)
    parts.append(_matrix([line for line in lines if line.table == "beyond"]))
    parts.append(_OTHERS)
    rest = [line for line in lines if line.table not in ("anytime", "beyond", "coverage")]
    parts.append(_list(rest, "method"))
    parts.append(_COVERAGE)
    parts.append(_list([line for line in lines if line.table == "coverage"], "table"))
    parts.append(_POWER)
    rows = [f"| {p.method} | {p.simulated:.1%} | {p.published:.1%} |" for p in found]
    parts.append("\n".join(["| method | simulated | published |", "| --- | --- | --- |", *rows]))
    now = datetime.now(UTC).date().isoformat()
    parts.append(f"Made on {now} with numpy {np.__version__}; seeds are fixed.")
    return "\n\n".join(parts) + "\n"


def _matrix(lines: list[Line]) -> str:
    shares = [share for share in RATIOS if any(line.how == share for line in lines)]
    cells: dict[str, dict[str, str]] = {}
    for line in lines:
        cells.setdefault(line.what, {})[line.how] = _shown(line)
    head = [f"| values | {' | '.join(shares)} |", "| --- |" + " --- |" * len(shares)]
    rows = [
        f"| {what} | {' | '.join(row.get(share, '') for share in shares)} |"
        for what, row in cells.items()
    ]
    return "\n".join([*head, *rows])


def _list(lines: list[Line], kind: str) -> str:
    rows = [f"| {line.table} | {line.what} | {line.how} | {_shown(line)} |" for line in lines]
    return "\n".join(
        ["| " + kind + " | values | arms | wrong |", "| --- | --- | --- | --- |", *rows]
    )


def _shown(line: Line) -> str:
    text = f"{line.rate:.1%}"
    return text if line.rate <= calibration.bound(ALPHA, line.tally.tests) else f"**{text}**"


_HEAD = """# How often the statistics are wrong

Written by `python -m bench.parts.stats_false_positives --docs`; do not edit. What the methods are:
[statistics.md](statistics.md).

{tests:,} simulated tests in each cell, α = 5 %, looked at after each of {looks} batches of {batch}
values an arm (times the arms' shares), `planned_n` {planned:,}. A test is wrong when any of its
looks is. Of methods that hold their level, one cell in a thousand is above {bound:.2%}; what is
above it is in bold.

## Anytime intervals, no difference

Share of tests in which an interval left out 0. Intervals start at 100 values in the smaller arm, at
500 when one arm has more than about 4.7 times as many."""

_BEYOND = """## What is not promised

Values so heavy that a mean hardly settles. With equal arms errors cancel; with unequal ones they do
not. Winsorising (`streams.statistics.winsor`), here at the distribution's 99 % quantile, makes them
ordinary values."""

_OTHERS = """## Other methods, no difference

`fixed, one look` and `split of traffic` are what they say; planned looks are 5. The lines under
"not to do" show what peeking at fixed numbers, and taking a unit's events as independent, cost."""

_COVERAGE = """## Coverage

Arms that differ, in spread too: share of tests in which any anytime interval left out the true
difference."""

_POWER = """## Power

Normal values, with a difference that the sequence finds in 80 % of tests at the planned end
(planned looks: a third less). Published: theorem 2.2 of Waudby-Smith et al. with their eq. 12 on
the same values; for "any look" and planned looks the recursion of Armitage, McPherson, Rowe."""
