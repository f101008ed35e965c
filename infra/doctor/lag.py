"""How far a consumer group is behind, and whether it keeps up. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Place = tuple[str, int]
"""Topic and partition."""
Trend = Literal["caught up", "catching up", "growing", "stuck"]
BUSY = 20_000
"""Records that may be under way in healthy traffic; fewer are not called growing."""


@dataclass(frozen=True, slots=True)
class Look:
    """Offsets of one group at one moment, by place.

    committed: next record to process; where nothing is committed yet, the first that exists.
    end: behind the last record that readers of committed records may see.
    """

    at_s: float
    committed: Mapping[Place, int]
    end: Mapping[Place, int]

    def lag(self, place: Place) -> int:
        """Records that wait, control records of transactions included."""
        return max(0, self.end[place] - self.committed[place])


@dataclass(frozen=True, slots=True)
class TopicLag:
    """A topic as a group sees it. `left_s`: until caught up at this pace, None if never."""

    topic: str
    records: int
    trend: Trend
    per_s: float
    left_s: float | None


def unmoved(looks: Sequence[Look]) -> set[Place]:
    """Places that wait and whose committed offset has not moved since the first look."""
    first, last = looks[0], looks[-1]
    return {
        place
        for place in last.committed
        if last.lag(place) > 0
        and last.committed[place] == first.committed.get(place)
        and first.lag(place) > 0
    }


def judge(looks: Sequence[Look], stuck: Collection[Place]) -> list[TopicLag]:
    """One line a topic, from the first to the last look. `stuck`: places known to have records
    that nobody reads; of others that did not move, only transaction markers are left."""
    first, last = looks[0], looks[-1]
    markers = unmoved(looks) - set(stuck)
    seconds = max(last.at_s - first.at_s, 1e-9)
    judged = []
    for topic in sorted({topic for topic, _ in last.committed}):
        places = [p for p in last.committed if p[0] == topic and p not in markers]
        before = sum(first.lag(p) for p in places if p in first.committed)
        now = sum(last.lag(p) for p in places)
        change = (now - before) / seconds
        trend: Trend = "catching up"
        if any(p in stuck for p in places):
            trend = "stuck"
        elif now == 0:
            trend = "caught up"
        elif now > BUSY and change > 0:
            trend = "growing"
        left_s = now / -change if change < 0 else None
        judged.append(TopicLag(topic, now, trend, change, left_s))
    return judged
