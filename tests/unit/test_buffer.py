"""What the storage lane stores next, and intents that outlive every change around them."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.buffer import Buffer, Limits
from sinks.errors import SinkBroken
from sinks.intent import METADATA_BYTES_MAX, Intent

LIMITS = Limits(messages=100, bytes=1000, linger_s=1.0)


@dataclass(frozen=True, slots=True)
class Fake:
    """A message of ten bytes."""

    at: int

    def offset(self) -> int:
        return self.at

    def __len__(self) -> int:
        return 10


def filled(*offsets: int, replay: Intent | None = None) -> Buffer:
    buffer = Buffer(replay=replay)
    buffer.add([Fake(o) for o in offsets], now_s=5.0)
    return buffer


def offsets(batch: list[Fake]) -> list[int]:
    return [m.at for m in batch]


@pytest.mark.parametrize(
    ("count", "now_s", "due"), [(1, 5.5, False), (1, 6.0, True), (100, 5.0, True), (0, 99.0, False)]
)
def test_a_batch_is_due_by_age_or_size(count: int, now_s: float, due: bool) -> None:
    assert filled(*range(count)).due(LIMITS, now_s) is due if count else not Buffer().due(LIMITS, 9)


def test_a_batch_is_due_by_its_bytes() -> None:
    assert not filled(*range(9)).due(Limits(100, 100, 9.0), 5.0)
    assert filled(*range(10)).due(Limits(100, 100, 9.0), 5.0)


def test_an_intent_is_repeated_exactly_whatever_the_limits_are_now() -> None:
    """The process before had other limits; more was read since."""
    intent = Intent(10, 13, "x")
    for limits in (Limits(1, 1, 0.0), LIMITS, Limits(2, 10**9, 99.0)):
        buffer = filled(10, 11, 12, 13, 14, 15, replay=intent)
        assert buffer.due(limits, 5.0)

        batch, repeated = buffer.next(limits)
        buffer.remove(batch)

        assert offsets(batch) == [10, 11, 12, 13]
        assert repeated == intent
        assert buffer.replay is None
        assert offsets(buffer.messages) == [14, 15]
        assert buffer.size_bytes == 20


def test_an_intent_waits_until_all_of_it_is_read() -> None:
    """Even when everything else says that a batch is full."""
    buffer = filled(10, 11, 12, replay=Intent(10, 13, "x"))
    assert not buffer.due(Limits(1, 1, 0.0), 99.0)
    buffer.add([Fake(13)], 99.0)
    assert buffer.due(Limits(1000, 10**9, 99.0), 99.0)


@pytest.mark.parametrize(
    ("present", "repeated"),
    [((12, 13, 14), [12, 13]), ((11, 14), [11]), ((14, 20), []), ((20,), [])],
)
def test_of_an_intent_that_retention_or_compaction_took_the_rest_is_repeated(
    present: tuple[int, ...], repeated: list[int]
) -> None:
    """Under the same token: what was stored of it before the crash is recognised."""
    intent = Intent(10, 13, "x")
    buffer = filled(*present, replay=intent)
    assert buffer.due(LIMITS, 5.0)

    batch, found = buffer.next(LIMITS)
    buffer.remove(batch)

    assert offsets(batch) == repeated
    assert found.next_offset == 14
    assert offsets(buffer.messages) == [o for o in present if o > 13]


def test_what_does_not_follow_is_never_stored() -> None:
    buffer = filled(1, 2, 3)
    for wrong in (3, 1):
        with pytest.raises(SinkBroken, match="count twice"):
            buffer.add([Fake(wrong)], 6.0)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=12), st.integers(1, 25))
def test_batches_are_the_messages_in_order_without_gap_or_repetition(
    reads: list[int], most: int
) -> None:
    buffer, taken, next_offset = Buffer(), [], 0
    for size in reads:
        buffer.add([Fake(next_offset + i) for i in range(size)], 0.0)
        next_offset += size
        while buffer.due(Limits(most, 10**9, 99.0), 0.0):
            batch, intent = buffer.next(Limits(most, 10**9, 99.0))
            buffer.remove(batch)
            assert (intent.first, intent.last) == (batch[0].at, batch[-1].at)
            taken += offsets(batch)
    assert taken + offsets(buffer.messages) == list(range(next_offset))
    assert buffer.size_bytes == 10 * len(buffer.messages)


def test_an_intent_survives_the_metadata_of_a_commit() -> None:
    intent = Intent.new(2**62, 2**62 + 5)
    assert Intent.decode(intent.encode()) == intent
    assert len(intent.encode()) < METADATA_BYTES_MAX
    assert Intent.decode("") is None
    assert Intent.decode(None) is None


@pytest.mark.parametrize("metadata", ["checkpoint 17", "{}", '{"first": 1}', "[]", "null", "7"])
def test_metadata_that_is_no_intent_is_not_guessed_at(metadata: str) -> None:
    with pytest.raises(SinkBroken, match="no intent"):
        Intent.decode(metadata)


def test_the_same_offsets_of_a_new_topic_are_another_batch() -> None:
    """A topic that was deleted and created again counts from 0 again."""
    one, two = Intent.new(0, 9), Intent.new(0, 9)
    assert one.token("alerts", 0) != two.token("alerts", 0)
    again = Intent.decode(one.encode())
    assert again is not None
    assert again.token("alerts", 0) == one.token("alerts", 0)
    assert again.token("alerts", 1) != one.token("alerts", 0)
