"""Follows one compacted topic in a background thread: its newest values, then every change."""

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from rheostat_client import forking
from rheostat_client.config import Config
from rheostat_client.errors import (
    InvalidValue,
    MalformedMessage,
    RegistryUnavailable,
    UnknownSchema,
)
from rheostat_client.logs import Nagger, log

POLL_S = 0.5
BATCH = 100
RETRY_S = 1.0
ASK_S = 2.0
"""Longest wait for an answer on topics and offsets; also how long `close` may take."""
LOAD_PATIENCE_S = 15.0
"""After this a topic counts as read as far as it goes, as with a transaction that hangs open."""
PARTITIONS_EVERY_S = 300.0


class Listener(Protocol):
    """Who is told what a topic holds. Called from the follower's thread only."""

    def apply(self, key: str, value: bytes | None) -> None:
        """One message. Raises MalformedMessage or UnknownSchema when it is of no use."""
        ...

    def loaded(self) -> None:
        """Everything that was there at the start has been applied."""
        ...

    def idle(self) -> None:
        """A moment without messages."""
        ...

    def ended(self) -> None:
        """Nothing more comes."""
        ...


class Follower:
    """A thread around a consumer. `skipped` counts messages that were of no use.

    The constructor needs no broker; it raises InvalidValue for a configuration that librdkafka
    refuses.
    """

    def __init__(self, config: Config, topic: str, listener: Listener) -> None:
        self._config = config
        self._topic = config.topic(topic)
        self._listener = listener
        self._make: Callable[[], Any] = lambda: _consumer(config)
        self._consumer: Any = self._make()
        self._nagger = Nagger()
        self._reset()
        forking.watch(self)

    def _reset(self) -> None:
        self.loaded = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.skipped = 0
        self.trouble: str | None = "not read yet"

    def forked(self) -> None:
        """The child follows for itself once it is asked to."""
        forking.leak(self._consumer)
        self._consumer = None
        self._reset()

    @property
    def running(self) -> bool:
        return self._thread is not None

    def start(self) -> None:
        """Starts following, unless it runs or was closed."""
        if self._thread is not None or self._stop.is_set():
            return
        thread = threading.Thread(target=self._run, name=f"rheostat-{self._topic}", daemon=True)
        self._thread = thread
        thread.start()

    def stop(self) -> None:
        """Asks the thread to end."""
        self._stop.set()

    def close(self, timeout_s: float = 10.0) -> None:
        """Ends the thread."""
        self.stop()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            if self._consumer is None:
                self._consumer = self._make()
            while not self._stop.is_set():
                self._follow(self._assign())
        except Exception:  # our own bug: what is known stays in use, and it is said loudly
            self.trouble = "the follower stopped, see the log"
            log.exception("following %s stopped; the last known state stays in use", self._topic)
        finally:
            self._listener.ended()
            self._consumer.close()

    def _follow(self, pending: dict[int, int]) -> None:
        """Reads until closed, or until the topic has other partitions. `pending`: ends to reach."""
        count, since = len(pending), time.monotonic()
        checked = since
        while not self._stop.is_set():
            now = time.monotonic()
            if not self.loaded.is_set() and (not pending or now > since + LOAD_PATIENCE_S):
                self._listener.loaded()
                self.loaded.set()
            messages = self._consumer.consume(BATCH, POLL_S)
            for message in messages:
                self._take(message)
            if not messages:
                self._listener.idle()
            pending = {p: end for p, end in pending.items() if not self._reached(p, end)}
            if now > checked + PARTITIONS_EVERY_S:
                checked = now
                if len(self._partitions() or range(count)) != count:
                    return

    def _take(self, message: Any) -> None:
        if message.error() is not None:
            self.trouble = message.error().str()
            self._nagger.warn("error", f"{self._topic}: {self.trouble}")
            return
        self.trouble = None
        key = (message.key() or b"").decode(errors="replace")
        while not self._stop.is_set():
            try:
                self._listener.apply(key, message.value())
            except (MalformedMessage, UnknownSchema) as error:
                self.skipped += 1
                self._nagger.warn("skipped", f"{self._topic}, key {key}: message skipped: {error}")
            except RegistryUnavailable as error:
                self.trouble = str(error)
                self._nagger.warn("registry", str(error))
                self._stop.wait(RETRY_S)
                continue
            return

    def _assign(self) -> dict[int, int]:
        """Assigns every partition from its beginning; returns the ends that were there."""
        while not self._stop.is_set():
            found = self._partitions()
            if found:
                parts = [TopicPartition(self._topic, p, OFFSET_BEGINNING) for p in found]
                with contextlib.suppress(KafkaException):
                    ends = {
                        p.partition: self._consumer.get_watermark_offsets(p, timeout=ASK_S)[1]
                        for p in parts
                    }
                    self._consumer.assign(parts)
                    self.trouble = None
                    return ends
            self._stop.wait(RETRY_S)
        return {}

    def _partitions(self) -> list[int]:
        """The topic's partitions; empty when they cannot be told."""
        try:
            found = self._consumer.list_topics(self._topic, timeout=ASK_S).topics[self._topic]
        except KafkaException as error:
            self.trouble = error.args[0].str()
            self._nagger.warn("away", f"{self._topic} cannot be read: {self.trouble}")
            return []
        if found.error is not None:
            self.trouble = found.error.str()
            self._nagger.warn("topic", f"{self._topic} cannot be read: {self.trouble}")
            return []
        return list(found.partitions)

    def _reached(self, partition: int, end: int) -> bool:
        """Whether everything before `end` was read; control records make positions jump."""
        here = self._consumer.position([TopicPartition(self._topic, partition)])[0].offset
        return bool(end == 0 or here >= end)


def _consumer(config: Config) -> Any:
    # The group is only a name: partitions are assigned by hand and nothing is committed.
    try:
        return Consumer(config.consumer(f"{config.topic_prefix}rheostat-client"))
    except (KafkaException, ValueError, TypeError) as error:
        said = error.args[0]
        reason = said.str() if hasattr(said, "str") else str(said)
        raise InvalidValue("kafka_properties", f"are refused: {reason}", "(hidden)") from None
