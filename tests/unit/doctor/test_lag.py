"""Whether a group keeps up, from offsets seen at two or more moments."""

from collections.abc import Mapping

from infra.doctor.lag import BUSY, Look, TopicLag, judge, unmoved

Offsets = Mapping[int, tuple[int, int]]
"""By partition: committed offset and end."""


def look(at_s: float, offsets: Offsets, topic: str = "t") -> Look:
    return Look(
        at_s,
        {(topic, p): committed for p, (committed, _) in offsets.items()},
        {(topic, p): end for p, (_, end) in offsets.items()},
    )


def only(looks: list[Look], stuck: tuple[int, ...] = ()) -> TopicLag:
    (found,) = judge(looks, {("t", partition) for partition in stuck})
    return found


def test_nothing_waits() -> None:
    found = only([look(0, {0: (5, 5)}), look(1, {0: (9, 9)})])
    assert (found.trend, found.records) == ("caught up", 0)


def test_a_large_backlog_that_shrinks_tells_how_long() -> None:
    found = only([look(0, {0: (0, 1_000_000)}), look(2, {0: (200_000, 1_000_000)})])
    assert (found.trend, found.records, found.left_s) == ("catching up", 800_000, 8.0)


def test_growing_only_beyond_what_is_normally_under_way() -> None:
    small = [look(0, {0: (0, 100)}), look(1, {0: (50, BUSY)})]
    assert only(small).trend == "catching up"
    large = [look(0, {0: (0, BUSY)}), look(1, {0: (1000, 2 * BUSY)})]
    assert only(large).trend == "growing"
    assert only(large).per_s == BUSY - 1000
    assert only(large).left_s is None


def test_a_place_that_does_not_move_is_stuck_only_if_it_has_records() -> None:
    looks = [look(0, {0: (5, 6), 1: (0, 3)}), look(1, {0: (5, 6), 1: (3, 3)})]
    assert unmoved(looks) == {("t", 0)}
    assert only(looks, stuck=(0,)).trend == "stuck"
    assert only(looks).trend == "caught up"  # a transaction marker, which nobody commits past
    assert only(looks).records == 0


def test_what_arrived_between_the_looks_had_no_time_to_move() -> None:
    looks = [look(0, {0: (5, 5)}), look(1, {0: (5, 9)})]
    assert unmoved(looks) == set()
    assert only(looks).trend == "catching up"


def test_topics_are_judged_apart() -> None:
    first = Look(0, {("a", 0): 0, ("b", 0): 1}, {("a", 0): 5, ("b", 0): 1})
    last = Look(1, {("a", 0): 0, ("b", 0): 1}, {("a", 0): 5, ("b", 0): 1})
    found = {lag.topic: lag.trend for lag in judge([first, last], {("a", 0)})}
    assert found == {"a": "stuck", "b": "caught up"}
