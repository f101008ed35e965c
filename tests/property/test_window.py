"""The rolling window: exact whatever the order, the batching, the replays and the restarts."""

import random
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from agents.policy.contributions import ModelKey
from agents.policy.sums import Sums, Tally, dump, fixed, load
from agents.policy.window import BLOCKS_MIN, Block, Span, Window, block_width_ms
from streams.partials import PANE_MS

A, B = ModelKey("a", "1"), ModelKey("b", "1")
HOUR_MS = 3_600_000
NOW_MS = 1_790_000_000_000

numbers = st.floats(0, 1e6, allow_nan=False)


@st.composite
def tallies(draw: st.DrawFn) -> Tally:
    values = draw(st.lists(numbers, min_size=1, max_size=4))
    tally = Tally()
    for value in values:
        sums = Sums(1, fixed(value), fixed(value * value))
        tally.add(Tally(1, draw(st.integers(0, 1)), sums, sums, sums, {draw(st.integers(0, 5)): 1}))
    return tally


panes = st.integers(0, 400).map(lambda i: NOW_MS - i * PANE_MS)
messages = st.lists(
    st.dictionaries(
        panes, st.dictionaries(st.sampled_from([A, B]), tallies(), min_size=1), min_size=1
    ),
    max_size=6,
)
Message = Mapping[int, Mapping[ModelKey, Tally]]


def filled(sent: list[Message], length_ms: int = HOUR_MS) -> Window:
    window = Window()
    for offset, message in enumerate(sent):
        window.apply(message, offset, length_ms, NOW_MS)
    return window


@given(tallies(), tallies())
def test_subtracting_what_was_added_leaves_exactly_what_was(one: Tally, other: Tally) -> None:
    whole = load(dump(one))
    whole.add(other)
    whole.subtract(other)
    assert whole == one


@given(messages, st.integers(1, 3))
def test_the_sum_of_the_window_is_the_sum_of_its_blocks(sent: list[Message], hours: int) -> None:
    window = filled(sent, hours * HOUR_MS // 4)
    total: dict[ModelKey, Tally] = {}
    for block in window.blocks.values():
        for key, tally in block.unpack().items():
            total.setdefault(key, Tally()).add(tally)
    assert window.sums == total
    assert all(s.end_ms > window.watermark_ms - hours * HOUR_MS // 4 for s in window.blocks)


@given(messages, st.randoms(use_true_random=False))
def test_replays_and_restarts_change_nothing(sent: list[Message], rng: random.Random) -> None:
    expected = filled(sent)
    window = Window()
    stored: dict[Span, Block] = {}
    watermark_ms = replay_from = 0
    for offset, message in enumerate(sent):
        window.apply(message, offset, HOUR_MS, NOW_MS)
        if rng.random() < 0.5:
            for span, block in window.unsaved():
                if block is None:
                    stored.pop(span, None)
                else:
                    stored[span] = Block(block.offset, None, list(block.pack()))
            watermark_ms = window.watermark_ms
            replay_from = rng.randint(0, offset + 1)  # the commit of offsets lags behind the state
        if rng.random() < 0.3:
            window = Window(watermark_ms=watermark_ms)
            for span, block in stored.items():
                window.restore(span, block.offset, block.pack())
            for again in range(replay_from, offset + 1):
                window.apply(sent[again], again, HOUR_MS, NOW_MS)
    assert window.sums == expected.sums
    assert window.watermark_ms == expected.watermark_ms


@given(st.integers(PANE_MS, 7 * 24 * HOUR_MS))
def test_blocks_are_few_and_fine(length_ms: int) -> None:
    width = block_width_ms(length_ms)
    assert width == PANE_MS or BLOCKS_MIN <= length_ms / width <= 10 * BLOCKS_MIN


def test_a_pane_ahead_of_the_clock_counts_but_does_not_age_the_others() -> None:
    tally = Tally(events=1)
    window = filled([{NOW_MS - HOUR_MS + PANE_MS: {A: tally}, NOW_MS + 300_000: {A: tally}}])
    assert window.watermark_ms == NOW_MS
    assert window.sums[A].events == 2


def test_old_traffic_is_a_window_of_its_own_time() -> None:
    """A replay of last year's events fills windows as it did then."""
    old = NOW_MS - 365 * 24 * HOUR_MS
    window = filled([{old: {A: Tally(events=1)}}, {old + HOUR_MS // 2: {A: Tally(events=1)}}])
    assert window.sums[A].events == 2
    window.apply({old + 2 * HOUR_MS: {B: Tally(events=1)}}, 9, HOUR_MS, NOW_MS)
    assert set(window.sums) == {B}
    assert window.watermark_ms == old + 2 * HOUR_MS + PANE_MS
