"""Drawings: intervals on their axis, bars of past values, units."""

import pytest

from infra.demo.bars import axis, interval, quantity, spark


def test_an_interval_stands_around_zero_in_the_middle() -> None:
    assert interval((0.5, 1.0), 0.75, 1.0, 9).plain == "────┃─━●━"
    assert interval((-1.0, -0.5), -0.75, 1.0, 9).plain == "━●━─┃────"
    assert interval((-0.5, 0.5), 0.0, 1.0, 9).plain == "──━━●━━──"


def test_what_reaches_beyond_the_axis_is_cut_at_its_end() -> None:
    assert interval((-9.0, 9.0), None, 1.0, 5).plain == "━━━━━"


@pytest.mark.parametrize(
    ("bounds", "style"), [((1, 2), "green"), ((-2, -1), "red"), ((-1, 1), "yellow")]
)
def test_the_colour_tells_the_side(bounds: tuple[float, float], style: str) -> None:
    drawn = interval(bounds, None, 2.0, 9)
    assert style in {str(span.style) for span in drawn.spans}


def test_the_axis_keeps_its_width_until_little_of_it_is_used() -> None:
    assert axis([]) is None
    assert axis([(0.0, 0.0)]) is None
    assert axis([(-1.0, 0.5)]) == 1.0
    assert axis([(-1.0, 0.5), (-0.5, 0.5)]) == 1.0
    assert axis([(-1.0, 0.5), (-0.1, 0.2)]) == pytest.approx(0.5)
    assert axis([(-1.0, 0.5), (-2.0, 0.2)]) == 2.0


def test_sparks_go_from_nothing_to_the_largest() -> None:
    assert spark([0, 1, 2], 5) == "▁▄█"
    assert spark([9, 0, 0], 2) == "▁▁"
    assert spark([], 5) == ""


def test_values_carry_their_units() -> None:
    assert quantity("latency_ms", 1234.4, sign=True) == "+1,234 ms"
    assert quantity("cost_usd", -0.02135) == "-$0.0214"
    assert quantity("error", 0.0125) == "1.2%"
    assert quantity("quality", 0.5, sign=True) == "+0.500"
    assert quantity("quality", None) == "–"
