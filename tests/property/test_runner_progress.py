"""Progress of a partition: no case is lost or repeated, in whatever order they end."""

from hypothesis import given
from hypothesis import strategies as st

from agents.evaluation.runner.progress import WINDOW, Progress, decode, encode

METADATA_BYTES_MAX = 4096
"""Kafka's default of offset.metadata.max.bytes."""


@given(st.integers(0, 2**40), st.sets(st.integers(0, WINDOW - 1)))
def test_what_is_encoded_is_decoded_within_the_brokers_limit(base: int, places: set[int]) -> None:
    ended = {base + 1 + place for place in places}
    metadata = encode(base, ended)
    assert len(metadata.encode()) <= METADATA_BYTES_MAX
    assert set(decode(base, metadata)) == ended


@given(
    gaps=st.lists(st.integers(1, 4), min_size=1, max_size=60),
    data=st.data(),
)
def test_a_restart_at_any_time_executes_exactly_what_has_not_ended(
    gaps: list[int], data: st.DataObject
) -> None:
    """Offsets with gaps are delivered and end in any order; a commit is taken, and read again."""
    offsets = [sum(gaps[: i + 1]) for i in range(len(gaps))]
    progress, ended, delivered = Progress(0), set[int](), list[int]()
    for offset in offsets:
        assert progress.deliver(offset)
        delivered.append(offset)
        for some in data.draw(st.sets(st.sampled_from(delivered), max_size=3)) - ended:
            progress.end(some)
            ended.add(some)
        assert progress.base <= min({*delivered} - ended, default=progress.position)
        again = Progress.committed(progress.base, progress.metadata())
        redelivered = [o for o in offsets if o >= progress.base]
        fresh = [o for o in redelivered if again.deliver(o)]
        assert fresh == [o for o in offsets if o not in ended]


@given(st.permutations(list(range(12))))
def test_when_all_have_ended_nothing_is_left(order: list[int]) -> None:
    progress = Progress(0)
    for offset in range(12):
        progress.deliver(offset)
    for offset in order:
        progress.end(offset)
    assert (progress.base, progress.metadata(), progress.span) == (12, "", 0)
