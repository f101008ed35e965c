"""A live view of the compacted `registry` topic, held by every process that needs its facts."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self, TypeVar

import structlog
from confluent_kafka import Message

from schemas.convert import from_record
from schemas.entities import AbTest, Alias, Entity, Model, ModelCapability, SelectionPolicy
from schemas.errors import MalformedMessage, RegistryUnavailable, UnknownSchema
from schemas.records import RegistryFact
from schemas.topics import Topic
from schemas.wire import Codec
from streams.follow import Follower
from streams.kafka import KafkaConfig
from streams.lifecycle import Startable

RETRY_S = 1.0
log = structlog.get_logger(__name__)

E = TypeVar("E", bound=Entity)
Shelf = Mapping[str, RegistryFact]
"""Facts by entity key."""


@dataclass(frozen=True, slots=True)
class RegistrySnapshot:
    """The registry at one moment. `revision` changes with every fact.

    `live`: what there is, by kind. `deleted`: facts that say that something is gone.
    """

    revision: int = 0
    live: Mapping[str, Shelf] = field(default_factory=dict)
    deleted: Shelf = field(default_factory=dict)

    @property
    def models(self) -> Shelf:
        return self.shelf(Model.kind)

    @property
    def ab_tests(self) -> Shelf:
        return self.shelf(AbTest.kind)

    @property
    def policies(self) -> Shelf:
        return self.shelf(SelectionPolicy.kind)

    @property
    def aliases(self) -> Shelf:
        return self.shelf(Alias.kind)

    @property
    def capabilities(self) -> Shelf:
        return self.shelf(ModelCapability.kind)

    def shelf(self, kind: str) -> Shelf:
        """What there is of a kind (see schemas.entities.ENTITIES)."""
        return self.live.get(kind, {})

    def get(self, key: str) -> RegistryFact | None:
        """The fact of what there is under the key."""
        return self.shelf(kind_of(key)).get(key)

    def entity(self, cls: type[E], key: str) -> E | None:
        """What there is under the key, if it is of this class."""
        fact = self.get(key)
        return fact.entity if fact is not None and isinstance(fact.entity, cls) else None

    def entities(self, cls: type[E]) -> Iterator[E]:
        """Everything there is of a class."""
        for fact in self.shelf(cls.kind).values():
            if isinstance(fact.entity, cls):
                yield fact.entity

    def last(self, key: str) -> RegistryFact | None:
        """The newest fact of the key, be it a deletion."""
        return self.get(key) or self.deleted.get(key)

    def with_fact(self, key: str, fact: RegistryFact) -> Self:
        """The snapshot after an accepted fact."""
        return self.with_facts([(key, fact)])

    def with_facts(self, facts: Iterable[tuple[str, RegistryFact | None]]) -> Self:
        """The snapshot after facts in their order; copies only the shelves that change."""
        revision, live = self.revision, dict(self.live)
        copied: dict[str, dict[str, RegistryFact]] = {}
        deleted = dict(self.deleted)
        for key, fact in facts:
            revision += 1
            kind = kind_of(key)
            shelf = copied.setdefault(kind, dict(live.get(kind, {})))
            shelf.pop(key, None)
            deleted.pop(key, None)
            if fact is not None:
                (deleted if fact.deleted else shelf)[key] = fact
        return type(self)(revision, {**live, **copied}, deleted)


def kind_of(key: str) -> str:
    """The kind in an entity's key; '' when it is no such key."""
    return key.split("/", 2)[1] if key.count("/") else ""


class RegistryView(Startable):
    """Reads the registry topic in a thread of its own; `snapshot` is always whole and immutable."""

    def __init__(self, kafka: KafkaConfig, codec: Codec) -> None:
        self._codec = codec
        self._snapshot = RegistrySnapshot()
        self._follower = Follower(kafka, Topic.REGISTRY, self._take)

    def start(self) -> Self:
        """As `with`, for owners that end with `close`."""
        self._follower.start()
        return self

    def close(self) -> None:
        """Ends the thread."""
        self._follower.close()

    def snapshot(self) -> RegistrySnapshot:
        """The newest state. Raises ViewFailed when it is followed no longer."""
        self._follower.check()
        return self._snapshot

    def wait_loaded(self, timeout_s: float) -> RegistrySnapshot:
        """Waits until everything that was there at the start is applied.

        Raises ViewNotLoaded, ViewFailed.
        """
        self._follower.wait_loaded(timeout_s)
        return self._snapshot

    def catch_up(self, timeout_s: float) -> RegistrySnapshot:
        """Waits until everything that is committed now is applied.

        Raises ViewNotLoaded, ViewFailed.
        """
        self._follower.catch_up(timeout_s)
        return self._snapshot

    def wait_for(self, versions: Mapping[str, int], timeout_s: float) -> bool:
        """Waits until the view holds at least these versions by key; False: not in time.

        Raises ViewFailed.
        """
        return self._follower.wait(lambda: self._holds(versions), timeout_s)

    def _holds(self, versions: Mapping[str, int]) -> bool:
        found = self._snapshot
        return all(
            (fact := found.last(key)) is not None and fact.version >= version
            for key, version in versions.items()
        )

    def _take(self, messages: Sequence[Message]) -> None:
        facts = [fact for message in messages if (fact := self._fact(message)) is not None]
        self._snapshot = self._snapshot.with_facts(facts)

    def _fact(self, message: Message) -> tuple[str, RegistryFact | None] | None:
        """(key, fact or null); None for what nobody can read. Waits for a schema registry."""
        try:
            key = (message.key() or b"").decode()
        except UnicodeDecodeError as error:
            log.error("registry fact skipped", offset=message.offset(), error=str(error))
            return None
        value = message.value()
        if value is None:
            return key, None
        while True:
            try:
                return key, from_record(RegistryFact, self._codec.decode(value, "RegistryFact"))
            except (MalformedMessage, UnknownSchema) as error:
                log.error(
                    "registry fact skipped", key=key, offset=message.offset(), error=str(error)
                )
                return None
            except RegistryUnavailable as error:
                log.warning("registry fact waits for its schema", key=key, error=str(error))
                if self._follower.stopping.wait(RETRY_S):
                    return None
