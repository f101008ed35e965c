"""The consumer groups of the lanes: who works, and whether the work keeps up."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from confluent_kafka import ConsumerGroupState
from confluent_kafka.admin import AdminClient

from agents.evaluation.runner.reader import TOPICS as RUNNER_TOPICS
from infra.doctor.finding import Finding, counted, hint, ok, problem
from infra.doctor.lag import Look, Place, TopicLag, judge, unmoved
from infra.doctor.offsets import description, first, look, places_of, with_records
from infra.kafka_admin import connect
from infra.settings import Settings
from infra.workers import kafka_config
from schemas.topics import Topic
from sinks.tables import TABLES
from streams.kafka import KafkaConfig
from streams.worker import HOT_TOPICS

APART_S = 1.0
LOOKS_MAX = 7
"""Lanes commit at least every second or so: what has not moved for this many looks is stuck."""


@dataclass(frozen=True, slots=True)
class Lane:
    """A kind of worker, what it reads, and what stops without it."""

    name: str
    topics: Sequence[Topic]
    stops: str


LANES = (
    Lane("streams", HOT_TOPICS, "events are not counted"),
    Lane("sinks", tuple(TABLES), "nothing new reaches ClickHouse"),
    Lane("agents", (Topic.METRIC_PARTIALS,), "no verdicts, selections or alerts are published"),
    Lane("runner", RUNNER_TOPICS, "no case of an evaluation is executed"),
)


@dataclass(frozen=True, slots=True)
class LaneCheck:
    """Members and lag of one consumer group."""

    lane: Lane

    def __call__(self, settings: Settings) -> Iterator[Finding]:
        client, metadata = connect(settings)
        kafka = kafka_config(settings)
        group = kafka.group(self.lane.name)
        yield from self._members(client, group)
        places = places_of(metadata.topics, [kafka.topic(topic) for topic in self.lane.topics])
        yield from self._lost(client, look(client, group, places))
        yield from self._lag(_follow(client, kafka, group, places))

    def _members(self, client: AdminClient, group: str) -> Iterator[Finding]:
        found = description(client, group)
        name, members = self.lane.name, len(found.members)
        if not members:
            yield problem(
                name,
                f"no worker is in the group {group}",
                self.lane.stops,
                f"Start the stack (rheostat up), or one: rheostat worker {name}",
            )
            return
        idle = sum(not member.assignment.topic_partitions for member in found.members)
        if found.state is not ConsumerGroupState.STABLE:
            state = found.state.name.lower().replace("_", " ")
            yield hint(
                name,
                f"{counted(members, 'worker')}, {state}",
                f"until the partitions are shared out, {self.lane.stops}",
                "Look again in a few seconds; if it stays, see logs/ in the data dir.",
            )
        elif idle:
            yield hint(
                name,
                f"{idle} of {members} workers have nothing to do",
                "there are more workers than partitions",
                "Start fewer, or raise RHEOSTAT_PARTITIONS before topics are created.",
            )
        else:
            yield ok(name, f"{counted(members, 'worker')} in {group}")

    def _lost(self, client: AdminClient, here: Look) -> Iterator[Finding]:
        kept = first(client, here.committed)
        gone = {place: kept[place] - offset for place, offset in here.committed.items()}
        lost = {place: count for place, count in gone.items() if count > 0}
        for topic in sorted({topic for topic, _ in lost}):
            count = sum(count for place, count in lost.items() if place[0] == topic)
            yield problem(
                self.lane.name,
                f"{topic}: {count:,} records were deleted before they were read",
                "they are lost to this lane: the topic's retention is shorter than the lag was",
                "Keep the topic longer (retention.ms), and add workers until the lane keeps up.",
            )

    def _lag(self, topics: Sequence[TopicLag]) -> Iterator[Finding]:
        behind = [topic for topic in topics if topic.trend != "caught up"]
        name = self.lane.name
        if not behind:
            yield ok(name, f"caught up on {counted(len(topics), 'topic')}")
        for topic in behind:
            waits = f"{topic.topic}: {counted(topic.records, 'record')} behind"
            if topic.trend == "stuck":
                yield problem(
                    name,
                    f"{waits} and not moving",
                    self.lane.stops,
                    f"See logs/{name}.log in the data dir for what it waits for.",
                )
            elif topic.trend == "growing":
                yield problem(
                    name,
                    f"{waits}, growing by {topic.per_s:,.0f}/s",
                    "results are later and later",
                    f"Add workers: rheostat up --scale {name}=2, or another rheostat worker {name}",
                )
            elif topic.left_s is None:
                yield ok(name, f"{waits}, moving")
            else:
                yield ok(name, f"{waits}, caught up in about {topic.left_s:,.0f} s")


def _follow(
    client: AdminClient, kafka: KafkaConfig, group: str, places: Sequence[Place]
) -> list[TopicLag]:
    """Looks twice; at places that do not move although there are records, for longer."""
    looks = [look(client, group, places)]
    waiting: set[Place] = set()
    while len(looks) < 2 or (waiting and len(looks) < LOOKS_MAX):
        time.sleep(APART_S)
        looks.append(look(client, group, places))
        still = unmoved(looks)
        if len(looks) == 2 and still:
            waiting = with_records(kafka, {place: looks[-1].committed[place] for place in still})
        waiting &= still
    return judge(looks, waiting)
