"""The stream of events without Kafka: scoped, resumable, and bounded for slow readers."""

import asyncio
import json
from dataclasses import replace
from typing import Any, cast

import pytest
from confluent_kafka import Message

from api.live import QUEUE_MAX, Kind, Live, Wish, event_id, offsets_of
from api.routes.stream import events
from schemas.catalog import committed
from schemas.convert import to_record
from schemas.records import AbVerdict, SelectionUpdate
from schemas.topics import Topic
from schemas.wire import Codec
from streams.kafka import KafkaConfig
from tests.support.demo import GPT, selection
from tests.support.verdicts import verdict

CODEC = Codec(committed())
ALL: frozenset[Kind] = frozenset(("verdict", "selection"))


class Sent:
    """A message as the follower hands it over."""

    def __init__(self, record: SelectionUpdate | AbVerdict | None, key: str, at: int) -> None:
        self._value = (
            None if record is None else CODEC.encode(type(record).__name__, to_record(record))
        )
        self._key, self._at = key.encode(), at

    def value(self) -> bytes | None:
        return self._value

    def key(self) -> bytes:
        return self._key

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._at


def live() -> Live:
    return Live(KafkaConfig("127.0.0.1:1"), CODEC)


def publish(to: Live, at: int, record: SelectionUpdate | AbVerdict) -> None:
    kind = Topic.AB_VERDICTS if isinstance(record, AbVerdict) else Topic.SELECTION_UPDATES
    key = f"{record.org_id}/{record.capability}"
    to.take(kind, [cast(Message, Sent(record, key, at))])


async def read(to: Live, wish: Wish, offsets: Any, count: int) -> list[tuple[str, str, Any]]:
    """(event, id, data) of the first events."""
    reader = to.join(wish, offsets)
    found: list[tuple[str, str, Any]] = []
    async for event in events(to, reader):
        if event.event:
            found.append((event.event, event.id or "", json.loads(event.data or "{}")))
        if len(found) == count:
            break
    to.leave(reader)
    return found


async def test_first_what_stands_then_what_comes() -> None:
    hub = live()
    publish(hub, 0, selection("law", GPT, 1))
    publish(hub, 1, selection("law", GPT, 2))
    reading = asyncio.create_task(read(hub, Wish("demo", ALL), {}, 3))
    await asyncio.sleep(0.05)
    publish(hub, 0, verdict(5))
    publish(hub, 2, selection("law", None, 3))
    found = await reading
    assert [(event, data.get("selection_id")) for event, _, data in found] == [
        ("selection", "law-2"),
        ("verdict", None),
        ("selection", "law-3"),
    ]


async def test_resuming_brings_what_is_newest_and_was_not_then() -> None:
    hub = live()
    publish(hub, 0, selection("law", GPT, 1))
    publish(hub, 1, selection("tax", GPT, 1))
    ((_, first, _), (_, second, _)) = await read(hub, Wish("demo", ALL), {}, 2)
    publish(hub, 2, selection("tax", GPT, 2))
    publish(hub, 3, selection("tax", GPT, 3))
    (after_first,) = [
        data["selection_id"]
        for _, _, data in await read(hub, Wish("demo", ALL), offsets_of(first), 1)
    ]
    assert after_first == "tax-3"
    ((_, last, data),) = await read(hub, Wish("demo", ALL), offsets_of(second), 1)
    assert data["selection_id"] == "tax-3", "what was replaced meanwhile is skipped"
    other = live()  # another process, which read the same topic
    publish(other, 3, selection("tax", GPT, 3))
    reader = other.join(Wish("demo", ALL), offsets_of(last))
    assert reader.queue.empty()


async def test_a_reader_hears_of_nobody_elses_and_of_what_it_wished() -> None:
    hub = live()
    publish(hub, 0, selection("law", GPT, 1, org_id="other"))
    publish(hub, 1, selection("law", GPT, 1))
    publish(hub, 2, selection("tax", GPT, 1))
    publish(hub, 0, verdict(5))
    publish(hub, 1, replace(verdict(6), ab_test_id="another", capability="tax"))
    for wish, count in (
        (Wish("nobody", ALL), 0),
        (Wish("other", ALL), 1),
        (Wish("demo", ALL), 4),
        (Wish("demo", frozenset(("verdict",))), 2),
        (Wish("demo", ALL, frozenset(("tax",))), 2),
        (Wish("demo", frozenset(("verdict",)), ab_test_ids=frozenset(("another",))), 1),
    ):
        assert hub.join(wish, {}).queue.qsize() == count, wish


async def test_who_does_not_read_is_told_so_and_disconnected() -> None:
    hub = live()
    reader = hub.join(Wish("demo", ALL), {})
    stream = events(hub, reader)
    assert (await anext(stream)).comment == "following"
    for at in range(QUEUE_MAX + 5):
        publish(hub, at, selection("law", GPT, at))
    await asyncio.sleep(0)
    assert reader.queue.qsize() == QUEUE_MAX
    rest = [event async for event in stream]
    assert rest[-1].event == "too-slow"
    assert "Last-Event-ID" in str(rest[-1].data)
    assert hub.readers == 0


async def test_a_deletion_takes_away_what_stood() -> None:
    hub = live()
    publish(hub, 0, selection("law", GPT, 1))
    hub.take(Topic.SELECTION_UPDATES, [cast(Message, Sent(None, "demo/law", 1))])
    assert hub.join(Wish("demo", ALL), {}).queue.empty()


def test_ids_are_read_back_and_others_refused() -> None:
    offsets: dict[tuple[Kind, int], int] = {("verdict", 0): 3, ("selection", 11): 2**40}
    assert offsets_of(event_id(offsets)) == offsets
    for text in ("", "%%%", "bm8", event_id({}) + "eDE"):
        with pytest.raises(ValueError, match="no id"):
            offsets_of(text)
