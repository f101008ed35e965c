"""Servers that tests talk to, and small helpers around them."""

import os
import socket
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Any

import clickhouse_connect
from confluent_kafka import Consumer, Producer, TopicPartition


@dataclass(frozen=True, slots=True)
class Kafka:
    """A broker."""

    bootstrap: str

    def new_prefix(self) -> str:
        """A topic prefix that nobody else has."""
        return f"t{uuid.uuid4().hex[:8]}-"

    def produce(self, topic: str, values: list[bytes | None], key: bytes | None = None) -> None:
        """Writes values and waits until the broker has them."""
        producer = Producer(
            {"bootstrap.servers": self.bootstrap, "message.max.bytes": 16 * 1024 * 1024}
        )
        for value in values:
            producer.produce(topic, value, key)
        assert producer.flush(30) == 0

    def read_all(self, topic: str) -> Iterator[Any]:
        """Every committed message of a topic, to its present end."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": f"read-{uuid.uuid4().hex}",
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
            }
        )
        try:
            partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
            consumer.assign([TopicPartition(topic, p, 0) for p in partitions])
            ended = 0
            while ended < len(partitions):
                message = consumer.poll(10)
                assert message is not None, "the broker went silent"
                if message.error() is None:
                    yield message
                else:
                    ended += 1
        finally:
            consumer.close()


@dataclass(frozen=True, slots=True)
class ClickHouseServer:
    """A ClickHouse."""

    url: str

    def client(self, **options: Any) -> Any:
        """An unmodified clickhouse-connect client."""
        return clickhouse_connect.get_client(dsn=self.url, **options)


_PORTS = count(12_000 + os.getpid() % 190 * 100)
"""Below the ports that the system gives to connections, and apart for each process of the tests."""


def free_port() -> int:
    """A port that nobody listens on now, never the same twice."""
    for port in _PORTS:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("unreachable: count never ends")


def wait_http(url: str, timeout_s: float = 30.0) -> None:
    """Returns when the URL answers 200."""

    def answers() -> bool:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    wait_until(answers, timeout_s, f"{url} did not answer")


class TooSlow(AssertionError):
    """A condition that did not come true in time."""


def wait_until(condition: Callable[[], bool], timeout_s: float = 60.0, what: str = "") -> None:
    """Returns when the condition holds; fails the test with TooSlow when it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= deadline:
            raise TooSlow(what or "the condition did not come true in time")
        time.sleep(0.05)
