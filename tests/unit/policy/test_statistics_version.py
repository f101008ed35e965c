"""Verdicts of the same records stay the same within a version of the statistics.

When formulas change on purpose: raise streams.statistics.version.VERSION, then
python -m tests.unit.policy.test_statistics_version keeps the new numbers.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agents.policy.offline import judge_offline
from agents.policy.trial import Cell, Trial, add
from agents.policy.units import UnitFindings
from agents.policy.verdicts import judge
from schemas.convert import to_record
from schemas.entities import Arm, MetricGoal
from schemas.records import AbVerdict
from streams.statistics.clusters import UnitSums
from streams.statistics.version import VERSION
from tests.support.trials import TEST, calls, goal, rows

KEPT = Path(__file__).parents[2] / "fixtures" / "verdicts.json"
NOW = datetime(2026, 6, 1, tzinfo=UTC)
SAID = ("status", "winner", "recommendation", "srm_p_value", "comparisons", "pairs", "beliefs")
LAST_DIGITS = 1e-7
"""Quadrature and special functions differ from machine to machine."""


def by_calls() -> AbVerdict:
    """Three arms; means, rates, a guardrail and a secondary metric."""
    test = replace(
        TEST,
        arms=(*TEST.arms, Arm("c", "huge")),
        metrics=(
            MetricGoal("quality", "primary", "higher", 0.01, 0.02),
            goal("thumbs_up"),
            goal("latency_ms", "guardrail", "lower", 20.0),
            goal("error", "secondary", "lower"),
        ),
    )
    thumbs = {"a": 100, "b": 160, "c": 130}
    means = {"a": 0.6, "b": 0.66, "c": 0.61}
    found = [
        call
        for arm in "abc"
        for call in calls(arm, 400, quality=means[arm], thumbs_up=[1.0] * thumbs[arm] + [0.0] * 100)
    ]
    begin, end = (rows(found, int(NOW.timestamp()) - ago) for ago in (3600, 600))
    return judge(add(add(Trial(), test, begin), test, end), test, NOW)[1]


def by_units() -> AbVerdict:
    """With a covariate."""
    test = replace(TEST, analysis="units", covariate="quality")
    sums, adjusted = {}, {}
    for arm, gap in (("a", 0.0), ("b", 0.05)):
        before = [0.5 + 0.3 * math.sin(i) for i in range(300)]
        means = [0.2 + gap + 0.6 * x + 0.1 * math.cos(7 * i) for i, x in enumerate(before)]
        sizes = [1.0 + i % 4 for i in range(300)]
        totals = [m * n for m, n in zip(means, sizes, strict=True)]
        squares = sum(1.01 * m * m * n for m, n in zip(means, sizes, strict=True))
        sums[Cell(arm, "quality")] = UnitSums.of_units(totals, sizes, squares)
        adjusted[Cell(arm, "quality")] = UnitSums.of_units(means, before)
    units = UnitFindings(sums, adjusted, {"a": 300, "b": 300}, as_of=NOW)
    found = rows([*calls("a", 750, quality=0.5), *calls("b", 750, quality=0.55)], 0)
    return judge(add(Trial(), test, found), test, NOW, units)[1]


def by_cases() -> AbVerdict:
    cases = {
        Cell(arm, "quality"): {
            f"c{i}": 0.5 + gap + 0.3 * math.sin(i) + spread * math.cos(9 * i) for i in range(150)
        }
        for arm, gap, spread in (("a", 0.0, 0.0), ("b", 0.02, 0.05))
    }
    return judge_offline(replace(TEST, mode="offline", suite_id="hard"), cases, NOW).verdict


def said() -> dict[str, Any]:
    """What verdicts say, as JSON."""
    made = {"by calls": by_calls(), "by units": by_units(), "by cases": by_cases()}
    assert {each.statistics_version for each in made.values()} == {VERSION}
    plain = {name: to_record(each) for name, each in made.items()}
    found: dict[str, Any] = json.loads(
        json.dumps({name: {key: each[key] for key in SAID} for name, each in plain.items()})
    )
    return found


def changes(before: Any, now: Any, at: str = "") -> Iterator[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in {**before, **now}:
            yield from changes(before.get(key), now.get(key), f"{at}.{key}")
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for i, (one, other) in enumerate(zip(before, now, strict=True)):
            yield from changes(one, other, f"{at}[{i}]")
    elif isinstance(before, float) and isinstance(now, float):
        if not math.isclose(before, now, rel_tol=LAST_DIGITS, abs_tol=1e-12):
            yield f"{at}: {before} became {now}"
    elif before != now:
        yield f"{at}: {before} became {now}"


def test_the_same_records_give_the_numbers_of_this_version() -> None:
    kept = json.loads(KEPT.read_text())
    found = list(changes(kept["said"], said()))
    assert kept["version"] == VERSION, "run python -m tests.unit.policy.test_statistics_version"
    assert not found, "raise streams.statistics.version.VERSION: what verdicts say has changed"


def main() -> None:
    """Keeps what is said now; within a version nothing may change."""
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else None
    now = said()
    if kept is not None and kept["version"] == VERSION and list(changes(kept["said"], now)):
        raise SystemExit("raise streams.statistics.version.VERSION first")
    KEPT.write_text(json.dumps({"version": VERSION, "said": now}, indent=1) + "\n")


if __name__ == "__main__":
    main()
