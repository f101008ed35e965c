"""Commands on a real broker: one writer among several processes, exact through kill -9."""

import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # re-exported at run time
    AdminClient,
    NewTopic,
)

from agents.errors import BadConfiguration, CommandRefused, RegistryConflict, Unavailable
from agents.registry.client import RegistryClient, Sender
from infra.settings import Settings
from infra.topics import ensure
from infra.workers import kafka_config
from schemas.catalog import committed
from schemas.commands import Change, RegistryCommand
from schemas.convert import from_record
from schemas.entities import SelectionPolicy
from schemas.records import RegistryFact
from schemas.topics import Topic
from schemas.wire import Codec
from streams.registry_view import RegistryView
from tests.support.commands import change
from tests.support.registry import registry_agent
from tests.support.servers import Kafka, wait_until

pytestmark = pytest.mark.integration
CODEC = Codec(committed())
POLICY = SelectionPolicy("acme", "chat")
ME = Sender("me")


@contextmanager
def client(settings: Settings) -> Iterator[tuple[RegistryClient, RegistryView]]:
    kafka = kafka_config(settings)
    with RegistryView(kafka, CODEC) as view, RegistryClient(kafka, CODEC, view) as found:
        yield found, view


def facts(kafka: Kafka, settings: Settings) -> list[RegistryFact]:
    topic = kafka_config(settings).topic(Topic.REGISTRY)
    return [
        from_record(RegistryFact, CODEC.decode(m.value(), "RegistryFact"))
        for m in kafka.read_all(topic)
    ]


def outcomes(kafka: Kafka, settings: Settings) -> list[RegistryCommand]:
    topic = kafka_config(settings).topic(Topic.REGISTRY_COMMANDS)
    found = [
        from_record(RegistryCommand, CODEC.decode(m.value(), "RegistryCommand"))
        for m in kafka.read_all(topic)
    ]
    return [command for command in found if command.outcome is not None]


def policy(min_samples: int) -> SelectionPolicy:
    return replace(POLICY, min_samples=min_samples)


def test_a_write_is_visible_when_submit_returns_and_a_refusal_reaches_its_caller(
    kafka: Kafka, settings: Settings
) -> None:
    with registry_agent(settings), client(settings) as (registry, view):
        assert registry.submit([change("create", POLICY)], ME) == {POLICY.key: 1}
        assert view.snapshot().policies[POLICY.key].author == "me"
        with pytest.raises(RegistryConflict) as conflict:
            registry.submit([change("update", policy(2), 7)], ME)
        assert conflict.value.current_version == 1
        with pytest.raises(CommandRefused, match="belongs to another organisation"):
            registry.submit([change("delete", POLICY)], Sender("eve", "globex"))
        with pytest.raises(CommandRefused, match="greater than or equal to 1"):
            registry.submit([change("update", policy(0))], ME)
        long = SelectionPolicy("acme", "code", fallback=("m" * 200,) * 100_000)
        with pytest.raises(CommandRefused, match="more than one command can hold"):
            registry.submit([change("create", long)], ME)
        assert registry.submit([change("delete", POLICY, 1)], ME) == {POLICY.key: 2}
        assert view.snapshot().policies == {}
        assert registry.submit([change("restore", POLICY)], ME) == {POLICY.key: 3}
    assert [(f.version, f.deleted) for f in facts(kafka, settings)] == [
        (1, False),
        (2, True),
        (3, False),
    ]
    told = [(c.outcome.status, c.author) for c in outcomes(kafka, settings) if c.outcome]
    assert told[1:3] == [("conflict", "me"), ("refused", "eve")]


def test_a_command_that_is_sent_again_takes_effect_once(kafka: Kafka, settings: Settings) -> None:
    create = [change("create", POLICY)]
    with registry_agent(settings), client(settings) as (registry, _):
        assert registry.submit(create, ME, "x") == {POLICY.key: 1}
        registry.submit([change("update", policy(2))], ME)
        assert registry.submit(create, ME, "x") == {POLICY.key: 1}
    with registry_agent(settings), client(settings) as (registry, _):
        assert registry.submit(create, ME, "x") == {POLICY.key: 1}
    assert [f.version for f in facts(kafka, settings)] == [1, 2]


def test_without_an_agent_the_caller_is_told_and_nothing_happens_later(
    kafka: Kafka, settings: Settings
) -> None:
    with client(settings) as (registry, _):
        with pytest.raises(Unavailable, match="does `rheostat worker agents` run") as caught:
            registry.submit([change("create", POLICY)], ME, timeout_s=5.0)
        assert caught.value.retry_after_s > 0
        with registry_agent(settings):
            wait_until(lambda: len(outcomes(kafka, settings)) == 1)
            assert facts(kafka, settings) == []
            again = registry.submit([change("create", POLICY)], ME, caught.value.command_id)
            assert again == {POLICY.key: 1}


def test_what_is_no_command_is_skipped_and_a_dead_writer_leaves_nothing(
    kafka: Kafka, settings: Settings
) -> None:
    config = kafka_config(settings)
    kafka.produce(config.topic(Topic.REGISTRY_COMMANDS), [b"junk", b"", b"\x00\x00\x00\x00\x0bx"])
    dead = Producer(config.producer(transactional_id=config.group("registry")))
    dead.init_transactions(30)
    dead.begin_transaction()
    dead.produce(config.topic(Topic.REGISTRY), b"half a fact", b"acme/policy/chat")
    dead.flush(30)
    with registry_agent(settings), client(settings) as (registry, _):
        assert registry.submit([change("create", POLICY)], ME) == {POLICY.key: 1}
    assert len(facts(kafka, settings)) == 1


def test_commands_without_one_order_are_refused_with_a_remedy(kafka: Kafka) -> None:
    settings = Settings(kafka_bootstrap=kafka.bootstrap, topic_prefix=kafka.new_prefix())
    topic = kafka_config(settings).topic(Topic.REGISTRY_COMMANDS)
    admin = AdminClient(kafka_config(settings).admin())
    for created in admin.create_topics([NewTopic(topic, 4, 1)]).values():
        created.result(30)
    ensure(settings)
    agent = registry_agent(settings)
    with pytest.raises(BadConfiguration, match="has 4 partitions and must have 1"), agent:
        time.sleep(2)


def start(settings: Settings, name: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "infra", "worker", "agents"],
        env={
            **os.environ,
            "RHEOSTAT_KAFKA_BOOTSTRAP": str(settings.kafka_bootstrap),
            "RHEOSTAT_TOPIC_PREFIX": settings.topic_prefix,
            "RHEOSTAT_DATA_DIR": str(settings.data_dir),
            "RHEOSTAT_METRICS_PORT": "0",
            "RHEOSTAT_WORKER_NAME": name,
        },
    )


@dataclass
class Writers:
    """Threads that raise the same entity's version and remember what they were told."""

    registry: RegistryClient
    view: RegistryView
    stop: threading.Event = field(default_factory=threading.Event)
    accepted: dict[str, int] = field(default_factory=dict)
    conflicts: int = 0
    latencies_ms: list[float] = field(default_factory=list)
    failure: BaseException | None = None

    def run(self, name: str) -> None:
        try:
            while not self.stop.is_set():
                self._write(name)
        except BaseException as error:
            self.failure = error

    def _write(self, name: str) -> None:
        seen = self.view.snapshot().policies[POLICY.key].version
        sent = Change("update", POLICY.key, seen, policy(seen + 1))
        command_id = f"{name}-{uuid.uuid4()}"
        while True:
            began = time.perf_counter()
            try:
                made = self.registry.submit([sent], Sender(name), command_id, timeout_s=5)
            except RegistryConflict:
                self.conflicts += 1
                return
            except Unavailable:
                continue
            self.latencies_ms.append((time.perf_counter() - began) * 1000)
            assert command_id not in self.accepted
            self.accepted[command_id] = made[POLICY.key]
            return


@pytest.mark.chaos
def test_kill_9_of_the_writer_among_two_loses_and_doubles_nothing(
    kafka: Kafka, settings: Settings
) -> None:
    names = ("one", "two")
    processes = {name: start(settings, name) for name in names}
    try:
        with client(settings) as (registry, view):
            registry.submit([change("create", POLICY)], ME, timeout_s=150)
            writers = Writers(registry, view)
            threads = [
                threading.Thread(target=writers.run, args=(f"writer-{i}",)) for i in range(4)
            ]
            for thread in threads:
                thread.start()
            for name in (*names, "one"):
                _progress(writers, 10)
                processes[name].kill()
                processes[name].wait(10)
                processes[name] = start(settings, name)
            _progress(writers, 10)
            writers.stop.set()
            for thread in threads:
                thread.join(60)
    finally:
        for process in processes.values():
            process.kill()
            process.wait(10)
    assert writers.failure is None
    made = facts(kafka, settings)
    assert [f.version for f in made] == list(range(1, len(made) + 1))
    assert len({f.command_id for f in made}) == len(made)
    by_command = {f.command_id: f.version for f in made[1:]}
    assert writers.accepted == by_command
    assert writers.conflicts > 0


def _progress(writers: Writers, count: int) -> None:
    wanted = len(writers.accepted) + count
    wait_until(lambda: writers.failure is not None or len(writers.accepted) >= wanted, 90)


def test_how_long_a_write_takes_until_it_is_visible(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    with registry_agent(settings), client(settings) as (registry, view):
        registry.submit([change("create", POLICY)], ME)
        writers = Writers(registry, view)
        for _ in range(100):
            writers._write("writer")
            time.sleep(0.005)
    found = sorted(writers.latencies_ms)
    assert len(found) == 100
    with capsys.disabled():
        print(  # noqa: T201  a figure for people, not a condition
            f"\nregistry write to visible: p50 {found[50]:.0f} ms, p99 {found[98]:.0f} ms, "
            f"worst {found[-1]:.0f} ms"
        )
