"""Holdings: what is executed, what is committed, and when reading pauses."""

from agents.evaluation.runner.holdings import SPAN_MAX, Holdings, Room
from agents.evaluation.runner.outgoing import Outgoing, Place
from agents.evaluation.runner.progress import Progress
from schemas.topics import Topic

WHERE = ("cases", 0)
MESSAGE = Outgoing(Topic.CASE_RESULTS, b"k", b"v")


def place(offset: int, partition: int = 0) -> Place:
    return Place("cases", partition, offset)


def holding(count: int, room: Room | None = None) -> Holdings:
    """A partition with so many cases that were read."""
    found = Holdings(room or Room())
    found.gain(WHERE, Progress(0))
    for offset in range(count):
        assert found.deliver(place(offset), 10)
    return found


def test_endings_out_of_order_are_committed_beyond_the_oldest_that_has_not_ended() -> None:
    holdings = holding(3)
    holdings.end(place(2), MESSAGE)
    [(offset, metadata)] = holdings.positions().values()
    assert offset == 0
    again = Progress.committed(offset, metadata)
    assert [again.deliver(o) for o in range(3)] == [True, True, False]


def test_nothing_is_committed_for_a_partition_that_left() -> None:
    holdings = holding(3)
    holdings.end(place(0), MESSAGE)
    holdings.forget(frozenset({WHERE}))
    holdings.end(place(1), MESSAGE)
    assert (holdings.batch, holdings.positions(), holdings.held) == ({}, {}, 0)
    assert not holdings.deliver(place(5), 10)


def test_what_turned_out_to_be_committed_is_not_written_again() -> None:
    holdings = holding(3)
    for offset in (0, 1, 2):
        holdings.end(place(offset), MESSAGE)
    known = Progress.committed(1, "")
    known.deliver(1)
    known.deliver(2)
    known.end(2)
    holdings.settle({WHERE: known})
    assert list(holdings.batch) == [place(1)]


def test_an_ending_of_a_case_that_is_not_held_is_left() -> None:
    holdings = holding(1)
    holdings.end(place(7), MESSAGE)
    assert holdings.batch == {}


def test_reading_pauses_when_it_is_full_and_goes_on_at_half() -> None:
    holdings = holding(4, Room(cases=4))
    assert holdings.balance() == ([WHERE], [])
    assert holdings.balance() == ([], []), "it is paused already"
    for offset in (0, 1):
        holdings.end(place(offset), None)
    assert holdings.balance() == ([], []), "not yet below half"
    holdings.end(place(2), None)
    assert holdings.balance() == ([], [WHERE])


def test_bytes_are_bounded_too() -> None:
    assert holding(3, Room(bytes=30)).balance() == ([WHERE], [])


def test_one_slow_case_pauses_only_its_partition_before_the_window_ends() -> None:
    holdings = holding(SPAN_MAX, Room(cases=10**9))
    holdings.gain(("cases", 1), Progress(0))
    for offset in range(1, SPAN_MAX):
        holdings.end(place(offset), None)
    assert holdings.balance() == ([WHERE], [])
    holdings.end(place(0), None)
    assert holdings.balance() == ([], [WHERE])
