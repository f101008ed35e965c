"""What is said of a test's health: words, limits and absences, from made numbers without I/O."""

import io
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from agents.ab_health import Health, judged
from infra.ab_health_show import health_lines, printable
from schemas.entities import AbTest, Allocation, Arm, MetricGoal
from schemas.records import AbVerdict
from sinks.ab_bounded import Crossing
from sinks.ab_capped import Capped
from sinks.ab_drift import PIECES, Earlier
from sinks.ab_extent import UNITS_MAX, Extent
from sinks.ab_health import Assigned, CrossedUnit, Measured
from streams.statistics.clusters import UnitSums
from streams.statistics.estimates import NoEstimate
from streams.statistics.pieces import Pieces
from tests.support.verdicts import verdict

NOW = datetime(2026, 11, 28, tzinfo=UTC)
TEST = AbTest(
    "acme",
    "t",
    "chat",
    "user",
    (Arm("a", "small"), Arm("b", "large"), Arm("c", "huge")),
    "a",
    (MetricGoal("quality", "primary", "higher"), MetricGoal("latency_ms", "guardrail", "lower")),
    planned_n=1000,
)
SOME = Assigned(Crossing(30_000, 12), dict.fromkeys("abc", 9900), 12, ())
CAPPED = Capped(0.01, None, "no values")
FOUND = Measured(
    Extent(60_000, 30_000, 0, 1000, 5.0),
    SOME,
    False,
    {"quality": {}},
    {"quality": {}},
    None,
    {"quality": CAPPED, "latency_ms": CAPPED},
)


def health(test: AbTest = TEST, said: AbVerdict | None = None, **numbers: Any) -> Health:
    made = judged(test, said, replace(FOUND, **numbers), NOW)
    assert isinstance(made, Health)
    return made


def assigned(crossed: int, n: int = 30_000, settled: Mapping[str, int] | None = None) -> Assigned:
    counts = dict.fromkeys("abc", n // 3) if settled is None else settled
    return Assigned(Crossing(n, crossed), counts, crossed, (CrossedUnit("u", ("a", "b")),))


def drawn(seed: int, effects: list[float], n: int = 500) -> Pieces:
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 1, (n, 1)) + rng.normal(0, 1, (n, PIECES)) + np.array(effects)
    return Pieces.of_units(values.tolist(), np.ones((n, PIECES)).tolist())


def sums(mean: float, n: int = 400) -> UnitSums:
    rng = np.random.default_rng(n)
    return UnitSums.of_units(rng.normal(mean, 1, n).tolist(), [1.0] * n)


def test_units_in_several_arms_are_let_pass_found_or_not_yet_known() -> None:
    fine = health().units_in_several_arms
    assert fine.sign == "no_sign"
    assert fine.text == (
        "12 of 30,000 units (0.04%) were in several arms: "
        "no sign of more than the 1% that is let pass"
    )
    assert fine.share == 12 / 30_000
    assert fine.upper is not None
    assert fine.upper < 0.01
    bad = health(assigned=assigned(900)).units_in_several_arms
    assert (bad.sign, bad.examples) == ("sign", (CrossedUnit("u", ("a", "b")),))
    assert bad.lower is not None
    assert bad.lower > 0.01
    few = health(assigned=assigned(0, 90)).units_in_several_arms
    assert few.sign == "not_enough_data"
    assert few.text.endswith("not enough data to say whether it is more than 1%")


def test_the_split_is_of_calls_and_of_units_whose_weights_never_changed() -> None:
    said = replace(verdict(100), srm_p_value=0.4)
    both = health(said=said).split
    assert (both.sign, both.calls_p_value) == ("no_sign", 0.4)
    assert both.units_p_value is not None
    uneven = assigned(0, 30_000, {"a": 10_000, "b": 10_000, "c": 9_000})
    units = health(said=said, assigned=uneven).split
    assert units.sign == "sign"
    assert "p 0.4" in units.text
    for numbers, test, why in (
        ({"weights_changed": True}, TEST, "the weights were changed"),
        ({"weights_changed": None}, TEST, "does not know the weights"),
        ({}, replace(TEST, allocation=Allocation("thompson")), "weights follow the evidence"),
    ):
        split = health(test, said, assigned=uneven, **numbers).split
        assert (split.sign, split.units_p_value) == ("no_sign", None)
        assert why in split.text
    calls = health(said=replace(said, srm_p_value=1e-9)).split
    assert calls.sign == "sign"
    nothing = health(weights_changed=None).split
    assert (nothing.sign, nothing.calls_p_value) == ("not_enough_data", None)


def test_change_over_time_is_told_for_each_arm_in_plain_words() -> None:
    steady = drawn(1, [0.0] * PIECES)
    fading = drawn(2, [1.0, 0.8, 0.6, 0.4, 0.2, 0.0])
    growing = drawn(3, [0.2, 0.4, 0.6, 0.8, 1.0, 1.2])
    found = health(lasting={"quality": {"a": {0: steady}, "b": {0: fading}, "c": {0: growing}}})
    said = {(each.arm, each.clock): each for each in found.over_time}
    for clock in ("calendar", "exposure"):
        assert "a sign of novelty: the effect fades" in said["b", clock].text
        assert "units need time to learn: the effect grows" in said["c", clock].text
        assert said["b", clock].p_needed == 0.01 / 8
    assert len(said["b", "exposure"].differences) == 4
    late = {
        arm: {PIECES - 3: side} for arm, side in zip("abc", (steady, fading, growing), strict=True)
    }
    came_late = {e.clock: e for e in health(lasting={"quality": late}).over_time if e.arm == "b"}
    assert came_late["exposure"].sign == "not_enough_data"
    assert came_late["exposure"].text.endswith("no unit of the arm has a value")
    humped = drawn(4, [0.0, 0.6, 1.2, 1.2, 0.6, 0.0])
    (hump, *_) = health(lasting={"quality": {"a": {0: steady}, "b": {0: humped}}}).over_time
    assert "a sign that the effect is not the same in every period" in hump.text


def test_what_was_there_before_is_told() -> None:
    before = {"quality": {"a": sums(0.0), "b": sums(0.5, 401), "c": sums(0.5, 20)}}
    one, other = health(before=before).carried_over
    assert (one.sign, one.arm, one.other) == ("sign", "b", "a")
    assert one.text.startswith("before the test: a sign of carry-over (0.")
    assert other.sign == "not_enough_data"
    assert "the arm: 20 such units have a value: 50 are needed" in other.text
    earlier = Earlier("old", 900, {"quality": {(n, t): sums(0.1) for n in "abc" for t in "xyz"}})
    found = [e for e in health(earlier=earlier).carried_over if e.earlier_test == "old"]
    assert [(e.arm, e.other, e.sign) for e in found] == [
        ("y", "x", "no_sign"),
        ("z", "x", "no_sign"),
    ]


def test_winsorised_numbers_stand_beside_the_plain_ones() -> None:
    rng = np.random.default_rng(7)
    ones = [1.0] * 900
    base, arm = rng.normal(100, 5, 900), rng.normal(104, 5, 900)
    wild = arm.copy()
    wild[:3] = 1e6
    plain = {
        "a": UnitSums.of_units(base.tolist(), ones),
        "b": UnitSums.of_units(wild.tolist(), ones),
    }
    cut = {**plain, "b": UnitSums.of_units(np.minimum(wild, 115).tolist(), ones)}
    capped = Capped(0.01, 115.0, None, 1800, 3, plain, cut)
    found = health(capped={"quality": CAPPED, "latency_ms": capped})
    first, absent = (e for e in found.winsorised if e.metric == "latency_ms")
    assert first.text == "undecided; without the largest values: worse"
    assert (first.limit, first.above) == (115.0, 3 / 1800)
    assert first.plain is not None
    assert first.winsorised is not None
    assert first.winsorised.lower is not None
    assert first.winsorised.lower > 0
    assert absent.arm == "c"
    assert absent.winsorised is not None
    assert absent.winsorised.note == "arm: no units"


def test_what_is_not_known_is_said() -> None:
    assert judged(TEST, None, None, NOW) == NoEstimate("no calls of the test are stored")
    offline = judged(replace(TEST, mode="offline"), None, None, NOW)
    assert isinstance(offline, NoEstimate)
    assert "offline" in offline.reason
    assert health(weights_changed=None, assigned=assigned(0, 0, {})).sign == "not_enough_data"
    big = Extent(9, 5 * UNITS_MAX, 0, 1, 1.0)
    assert health(extent=big).one_in == 5


def numbers(value: Any) -> list[float]:
    if is_dataclass(value):
        return [n for field in fields(value) for n in numbers(getattr(value, field.name))]
    if isinstance(value, tuple):
        return [n for each in value for n in numbers(each)]
    return [value] if isinstance(value, float) else []


SCALES = (0.0, 1e-300, 1e-160, 1e-10, 1.0, 1e9, 1e150, 1e200, 1e307)


@st.composite
def any_pieces(draw: st.DrawFn) -> Pieces:
    """Sums as a database has them: of values of any size, of none, overflowed."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    n, mean, scale = (
        draw(st.integers(0, 90)),
        draw(st.sampled_from(SCALES)),
        draw(st.sampled_from(SCALES)),
    )
    sizes = rng.integers(0, draw(st.sampled_from([1, 2, 5])), (n, PIECES)).astype(float)
    with np.errstate(all="ignore"):
        totals = (mean + rng.normal(0, 1, (n, PIECES)) * scale) * sizes
        return Pieces.of_units(totals, sizes)  # type: ignore[arg-type]  # as good as lists


SUMS = any_pieces().map(lambda found: found.of(0))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(SUMS, min_size=6, max_size=6),
    st.lists(any_pieces(), min_size=3, max_size=3),
    st.integers(0, 500),
)
def test_no_nan_and_no_infinity_leaves(
    sides: list[UnitSums], periods: list[Pieces], crossed: int
) -> None:
    """Whatever the sums were: overflowed in the database, contradictory, empty."""
    by_arm = dict(zip("abc", sides, strict=False))
    pairs = {(now, then): side for now, side in by_arm.items() for then in "xy"}
    cut = dict(zip("abc", sides[3:], strict=True))
    capped = Capped(0.01, 1.0, None, 10, 1, by_arm, cut)
    found = health(
        assigned=assigned(crossed, 500, {"a": 250, "b": 250}),
        lasting={"quality": {arm: {0: p} for arm, p in zip("abc", periods, strict=True)}},
        before={"quality": by_arm},
        earlier=Earlier("old", 9, {"quality": pairs}),
        capped={"quality": capped, "latency_ms": CAPPED},
    )
    assert all(math.isfinite(number) for number in numbers(found))


def test_the_terminal_shows_it_and_obeys_no_id() -> None:
    evil = CrossedUnit("x\x1b[2J[bold]\u202ex\n", ("a", "b"))
    steady = drawn(1, [0.0] * PIECES)
    found = health(
        assigned=replace(assigned(900), examples=(evil,)),
        lasting={"quality": {arm: {0: steady} for arm in "abc"}},
    )
    console = Console(width=200, record=True, file=io.StringIO())
    for line in health_lines(found):
        console.print(line)
    shown = console.export_text()
    assert "Health: look at the signs below before believing the results" in shown
    assert "x\\x1b[2J[bold]\\u202ex\\n: a, b" in shown
    assert "quality, b: over the time of the test: no sign that the effect changes" in shown
    assert "no values" in shown
    console.print(*health_lines(NoEstimate("ClickHouse does not answer")))
    assert "Health: not known: ClickHouse does not answer" in console.export_text()
    assert printable("käse 7") == "käse 7"
