"""Which records a test's numbers rest on, so that anybody can compute them again from the log.

A stretch is a run of messages of one partition that were counted under one version of the test.
While the test is paused messages are not counted: the next stretch says that it was resumed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

from schemas.records import SourceStretch
from schemas.topics import Topic

STRETCHES_MAX = 100
MIXED = 0
"""The version of a stretch that was joined from several, to bound how many are kept."""

Stretches = tuple[SourceStretch, ...]


class Position(NamedTuple):
    """Where a message of metric-partials stood, and the registry's version of the test then."""

    partition: int
    offset: int
    test_version: int


def counted(stretches: Stretches, at: Position, resumed: bool) -> Stretches:
    """With one more message. `resumed`: the test was paused since the one before."""
    last = stretches[-1] if stretches else None
    if (
        last is not None
        and not resumed
        and (last.partition, last.test_version) == (at.partition, at.test_version)
    ):
        return (*stretches[:-1], replace(last, last_offset=at.offset))
    topic = Topic.METRIC_PARTIALS.value
    new = SourceStretch(topic, at.partition, at.offset, at.offset, at.test_version, resumed)
    return _bounded((*stretches, new))


def _bounded(stretches: Stretches) -> Stretches:
    """Joins the two oldest between which the test was not paused, when there are too many."""
    if len(stretches) <= STRETCHES_MAX:
        return stretches
    for i, (one, other) in enumerate(pairwise(stretches)):
        if one.partition == other.partition and not other.resumed:
            joined = replace(one, last_offset=other.last_offset, test_version=MIXED)
            return (*stretches[:i], joined, *stretches[i + 2 :])
    return stretches


def dump_stretches(stretches: Stretches) -> list[list[Any]]:
    """As JSON values."""
    return [
        [s.topic, s.partition, s.first_offset, s.last_offset, s.test_version, s.resumed]
        for s in stretches
    ]


def load_stretches(value: Sequence[Sequence[Any]]) -> Stretches:
    """The inverse of `dump_stretches`."""
    return tuple(SourceStretch(*each) for each in value)


def ends(stretches: Sequence[SourceStretch]) -> Mapping[tuple[str, int], int]:
    """The last offset by (topic, partition)."""
    found: dict[tuple[str, int], int] = {}
    for each in stretches:
        at = each.topic, each.partition
        found[at] = max(found.get(at, -1), each.last_offset)
    return found
