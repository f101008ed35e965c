"""The watch over every model in production: alerts when errors or latencies shift."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from agents.book import Entry, Message, Publication
from agents.entries import block_entries, entry, read
from agents.policy.alerts import LENGTH_MS, Scene, Watch, dump_watch, judge, load_watch
from agents.policy.contributions import Place
from agents.policy.window import Window
from schemas.convert import from_record, to_record
from schemas.records import Alert
from schemas.topics import Topic

FORGET_MS = 24 * 3_600_000
"""A capability without traffic for so long, in event time of its partition, is forgotten."""


@dataclass(slots=True)
class _Post:
    """One capability. `outbox`: alerts that were raised and may not have been published."""

    window: Window = field(default_factory=Window)
    watch: Watch = field(default_factory=Watch)
    outbox: list[Alert] = field(default_factory=list)
    touched: bool = False
    unsaved: bool = False


class Alerts:
    """Book of watches. Needs no configuration: every model in traffic is watched."""

    name = "alerts"

    def __init__(self) -> None:
        self._posts: dict[int, dict[Place, _Post]] = {}

    def load(self, partition: int, entries: Iterable[tuple[bytes, bytes]]) -> None:
        windows: dict[Place, Window] = {}
        posts: dict[Place, _Post] = {}
        marks: dict[Place, int] = {}
        for _, place, value in read(entries, windows):
            outbox = [from_record(Alert, alert) for alert in value["outbox"]]
            posts[place] = _Post(watch=load_watch(value["watch"]), outbox=outbox, touched=True)
            marks[place] = value["watermark_ms"]
        for place, window in windows.items():
            window.watermark_ms = marks.get(place, 0)
            posts.setdefault(place, _Post()).window = window
        self._posts[partition] = posts

    def drop(self, partition: int) -> None:
        self._posts.pop(partition, None)

    def apply(self, message: Message, now: datetime) -> bool:
        posts = self._posts.setdefault(message.partition, {})
        now_ms, fresh = int(now.timestamp() * 1000), False
        for place, panes in message.production.items():
            post = posts.setdefault(place, _Post())
            if post.window.apply(panes, message.offset, LENGTH_MS, now_ms):
                post.touched = post.unsaved = fresh = True
        return fresh

    def decide(self, now: datetime) -> Sequence[Publication]:
        return [
            publication
            for partition, posts in self._posts.items()
            for place, post in posts.items()
            if post.touched
            for publication in self._consider(partition, place, now)
        ]

    def unsaved(self, partition: int) -> Sequence[Entry]:
        posts = self._posts.get(partition, {})
        entries: list[Entry] = []
        for place, post in posts.items():
            if post.unsaved:
                entries.append(_post_entry(place, post))
                post.unsaved = False
            entries += block_entries(place, post.window)
        return [*entries, *_forget(posts)]

    def size(self) -> int:
        every = (post for posts in self._posts.values() for post in posts.values())
        return sum(len(post.window.blocks) + 1 for post in every)

    def _consider(self, partition: int, place: Place, now: datetime) -> Iterator[Publication]:
        posts = self._posts[partition]
        post = posts[place]
        post.touched = False
        closed_ms = post.watch.closed_ms
        series = sum(len(p.window.sums) for at, p in posts.items() if at.org_id == place.org_id)
        raised = judge(Scene(place, post.window, post.watch, series, now))
        if post.watch.closed_ms != closed_ms:
            post.unsaved = True
        post.outbox += raised
        if post.outbox:
            stored = _post_entry(place, post)
            for alert in post.outbox:
                yield Publication(partition, stored, Topic.ALERTS, place.org_id, alert)
            # Stored as empty with the next checkpoint, which is after they are published.
            post.outbox, post.unsaved = [], True


def _post_entry(place: Place, post: _Post) -> Entry:
    value: dict[str, Any] = {
        "watermark_ms": post.window.watermark_ms,
        "watch": dump_watch(post.watch),
        "outbox": [to_record(alert) for alert in post.outbox],
    }
    return entry("watch", place, value)


def _forget(posts: dict[Place, _Post]) -> Iterator[Entry]:
    """Drops capabilities whose traffic ended long ago."""
    newest_ms = max((post.window.watermark_ms for post in posts.values()), default=0)
    for place, post in list(posts.items()):
        if post.window.watermark_ms < newest_ms - FORGET_MS:
            post.window.watermark_ms = newest_ms
            post.window.expire(LENGTH_MS)
            yield from block_entries(place, post.window)
            yield Entry(entry("watch", place, None).key, None)
            del posts[place]
