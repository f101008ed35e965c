"""Effects over time and what units bring along, from the real ClickHouse."""

import random
from collections import defaultdict
from dataclasses import replace

import pytest

from agents.ab_health import Health
from agents.ab_lasting import Clock, EffectOverTime
from schemas.topics import Topic
from sinks.ab_drift import PIECES
from sinks.clickhouse import ClickHouse
from streams.statistics.pieces import Pieces
from tests.integration.test_ab_health import HOUR_MS, TEST, call, health, of, traffic
from tests.integration.test_ab_units import insert, server
from tests.support.events import NOW_MS

pytestmark = pytest.mark.integration
__all__ = ["server"]


def change(found: Health, clock: Clock) -> EffectOverTime:
    (one,) = [each for each in found.over_time if each.clock == clock]
    return one


def test_pieces_are_those_of_python(server: ClickHouse) -> None:
    events = traffic(3, 60)
    insert(server, Topic.INFERENCE_EVENTS, events, "all")
    found = of(server)
    begin = NOW_MS - 6 * HOUR_MS
    units: dict[tuple[str, str], list[tuple[int, float]]] = defaultdict(list)
    for event in events:
        if event["quality"] is not None:
            piece = (
                (event["occurred_at"] - begin)
                * PIECES
                // (found.extent.last_ms - found.extent.first_ms + 1)
            )
            units[event["arm"], event["unit_id"]].append((piece, event["quality"]))
    for arm, by_first in found.lasting["quality"].items():
        for first, pieces in by_first.items():
            mine = [v for (a, _), v in units.items() if a == arm and min(p for p, _ in v) == first]
            totals = [[sum(q for p, q in v if p == i) for i in range(PIECES)] for v in mine]
            sizes = [[float(sum(p == i for p, _ in v)) for i in range(PIECES)] for v in mine]
            wanted = Pieces.of_units(totals, sizes)
            assert (pieces.units == wanted.units).all()
            assert pieces.totals == pytest.approx(wanted.totals)
            assert pieces.products == pytest.approx(wanted.products)


def test_an_effect_that_fades_shows_by_both_clocks_and_one_that_lasts_by_none(
    server: ClickHouse,
) -> None:
    insert(server, Topic.INFERENCE_EVENTS, traffic(5, 900, lambda h: 0.3 - h / 20), "fading")
    lasting = [e | {"ab_test_id": "steady"} for e in traffic(6, 900)]
    insert(server, Topic.INFERENCE_EVENTS, lasting, "steady")
    faded = health(of(server))
    steady_test = replace(TEST, ab_test_id="steady")
    steady = health(of(server, steady_test), steady_test)
    clocks: tuple[Clock, ...] = ("calendar", "exposure")
    for clock in clocks:
        one, other = change(faded, clock), change(steady, clock)
        assert one.sign == "sign", one.text
        assert "the effect fades" in one.text
        assert one.trend is not None
        assert one.trend < 0
        assert one.differences[0] > one.differences[-1]
        assert other.sign == "no_sign", other.text
        assert other.trend is not None
    assert faded.sign == "sign"
    assert len(change(faded, "calendar").differences) == PIECES


def test_what_units_bring_along_shows_before_the_test_and_from_the_one_before(
    server: ClickHouse,
) -> None:
    """Units of arm y of the test before are worse by 0.2 ever since; this test's arms are fair."""
    rng = random.Random(8)
    events = [call("first", "a", 0), call("last", "b", 6)]
    for i in range(600):
        came, usual = rng.choice("xy"), rng.uniform(0.4, 0.8)
        quality = usual - (0.2 if came == "y" else 0)
        before = {"ab_test_id": "before", "quality": quality}
        events += [call(f"u{i}", came, -hour, **before) for hour in (30, 50)]
        events += [
            call(f"u{i}", rng.choice("ab") if i % 100 else "a", 1 + i / 200, quality=quality)
        ]
        events += [call(f"u{i}", None, -400, quality=9.9e-1)]
    insert(server, Topic.INFERENCE_EVENTS, events, "all")
    found = of(server)
    assert found.earlier is not None
    assert (found.earlier.ab_test_id, found.earlier.units) == ("before", 600)
    assert found.before["quality"]["a"].size == 2 * found.before["quality"]["a"].units
    made = health(found).carried_over
    at_start, earlier = made
    assert (at_start.earlier_test, at_start.sign) == (None, "no_sign"), at_start.text
    assert (earlier.earlier_test, earlier.arm, earlier.other) == ("before", "y", "x")
    assert earlier.sign == "sign", earlier.text
    assert earlier.difference == pytest.approx(-0.2, abs=0.05)
    assert earlier.text.startswith("from before, units of its arm y against those of x: a sign")
