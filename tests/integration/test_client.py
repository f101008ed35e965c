"""The client on a real broker: what it reports counts, what it follows is what was published."""

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infra.settings import Settings
from rheostat_client import (
    Assignment,
    Config,
    InferenceEvent,
    InferenceHandle,
    NotAssigned,
    Reporter,
    Rule,
    Selector,
    SelectorOptions,
)
from schemas.catalog import committed
from schemas.entities import AbTest, Arm, MetricGoal, Model
from schemas.topics import Topic
from streams.decode import decode
from streams.types import Coordinates, RawBatch
from streams.validate import validate
from tests.support.forward import Forwarder
from tests.support.selections import fact, update, written
from tests.support.servers import Kafka, free_port, wait_until

pytestmark = pytest.mark.integration
WEEK_MS = 7 * 86_400_000
RULES = {"chat": [Rule("ruled", "1")]}


@pytest.fixture
def config(settings: Settings) -> Config:
    return Config("acme", settings.bootstrap, topic_prefix=settings.topic_prefix)


@pytest.fixture
def nobody() -> Config:
    """A Kafka that is away."""
    return Config("acme", f"127.0.0.1:{free_port()}")


def counted(kafka: Kafka, config: Config, topic: Topic, record: str) -> list[dict[str, Any]]:
    """The events of a topic, as the data lane reads them; fails when it would reject any."""
    messages = list(kafka.read_all(config.topic(topic)))
    values = [m.value() for m in messages]
    arrived = [m.timestamp()[1] for m in messages]
    if not values:
        return []
    batch = RawBatch(
        config.topic(topic),
        values,
        lambda i: Coordinates(0, i, arrived[i], messages[i].key()),
        min(arrived),
        max(arrived),
    )
    decoded = decode(batch, record, committed())
    assert not decoded.rejects, decoded.rejects
    (records,) = decoded.records
    validity = validate(records, batch, WEEK_MS)
    assert not validity.rejects, validity.rejects
    rows: list[dict[str, Any]] = records.frame(np.arange(len(records))).to_dicts()
    assert [m.key().decode() for m in messages] == [row["unit_id"] for row in rows]
    return rows


def inferences(kafka: Kafka, config: Config) -> list[dict[str, Any]]:
    return counted(kafka, config, Topic.INFERENCE_EVENTS, "InferenceEvent")


def publish(kafka: Kafka, config: Config, weights: dict[str, float] | None, **changes: Any) -> None:
    now_ms = int(time.time() * 1000)
    times = {"issued_at_ms": now_ms, "expires_at_ms": now_ms + 60_000}
    made = update(weights or {"gone": 1.0}, **{**times, **changes})
    value = None if weights is None else written(made)
    key = f"{made.org_id}/{made.capability}".encode()
    kafka.produce(config.topic(Topic.SELECTION_UPDATES), [value], key)


@contextmanager
def selector(config: Config, snapshot: Path | None = None, **kwargs: Any) -> Iterator[Selector]:
    options = SelectorOptions(snapshot_path=snapshot)
    with Selector(config, RULES, options, **kwargs) as made:
        yield made


def test_everything_reported_is_counted(kafka: Kafka, config: Config) -> None:
    with Reporter(config) as reporter:
        with reporter.inference(
            model_id="small", capability="chat", unit_id="ü" * 128, model_version="7"
        ) as call:
            call.first_token()
            call.usage(input_tokens=100, output_tokens=20, cached_input_tokens=60)
            call.quality(0.5)
            call.cost(0.001)
        with (
            pytest.raises(TimeoutError),
            reporter.inference(model_id="small", capability="chat", unit_id="u-2"),
        ):
            raise TimeoutError
        reporter.report(
            InferenceEvent(
                model_id="large",
                capability="code",
                unit_id="u-3",
                latency_ms=12.5,
                occurred_at=datetime.now(UTC),
                ab_test_id="t",
                arm="a",
                propensity=0.5,
                selection_id="s",
                error_type="refused",
            )
        )
        handle = InferenceHandle.parse(str(call.handle))
        reporter.feedback(handle, "thumbs_up", 1, source="user")
        reporter.feedback(handle, "quality", 0.9, source="reviewer")
        assert reporter.flush(30) == 0
        assert reporter.counts.delivered == 5
        assert reporter.counts.lost == 0

    first, failed, third = sorted(inferences(kafka, config), key=lambda e: e["unit_id"][::-1])[::-1]
    assert first["unit_id"] == "ü" * 128
    assert first["event_id"] == handle.event_id
    assert (first["input_tokens"], first["output_tokens"], first["cached_input_tokens"]) == (
        100,
        20,
        60,
    )
    assert (first["quality"], first["cost_usd"], first["error_type"]) == (0.5, 0.001, None)
    assert 0 <= first["ttft_ms"] <= first["latency_ms"]
    assert {failed["error_type"], third["error_type"]} == {"TimeoutError", "refused"}
    said = counted(kafka, config, Topic.FEEDBACK_EVENTS, "FeedbackEvent")
    assert {(f["metric"], f["value"], f["source"]) for f in said} == {
        ("thumbs_up", 1.0, "user"),
        ("quality", 0.9, "reviewer"),
    }
    assert {(f["inference_id"], f["model_version"]) for f in said} == {(handle.event_id, "7")}


def test_events_wait_for_a_broker_that_is_away(kafka: Kafka, config: Config) -> None:
    port = free_port()
    away = Config("acme", f"127.0.0.1:{port}", topic_prefix=config.topic_prefix)
    with closing(Reporter(away, buffer_events=50)) as reporter:
        event = InferenceEvent(model_id="m", capability="c", unit_id="u", latency_ms=1.0)
        assert [reporter.report(event) for _ in range(60)] == [True] * 50 + [False] * 10
        assert reporter.flush(0.2) == 50
        assert reporter.counts.dropped == {"buffer_full": 10}
        with Forwarder(port, kafka.bootstrap):
            assert reporter.flush(60) == 0
        assert reporter.counts.delivered == 50
    assert len({e["event_id"] for e in inferences(kafka, config)}) == 50


def test_close_gives_up_in_time_and_counts_what_is_lost(nobody: Config) -> None:
    reporter = Reporter(nobody, buffer_events=10)
    for _ in range(10):
        reporter.report(InferenceEvent(model_id="m", capability="c", unit_id="u", latency_ms=1.0))
    assert reporter.close(timeout_s=0.5) == 10
    assert reporter.counts.dropped == {"unsent": 10}
    assert reporter.counts.waiting == 0


def test_an_oversized_record_is_refused_not_lost_silently(config: Config) -> None:
    small = Config(
        "acme",
        config.kafka_bootstrap,
        {"message.max.bytes": "1000", "batch.size": "1000"},
        config.topic_prefix,
    )
    with Reporter(small) as reporter:
        long = dict.fromkeys(("model_id", "capability", "unit_id", "model_version"), "x" * 256)
        reporter.report(InferenceEvent(latency_ms=1.0, **long))  # type: ignore[arg-type]
        assert reporter.flush(30) == 0
        assert reporter.counts.dropped == {"refused": 1}


CHILDREN = """
import multiprocessing, os, sys
from rheostat_client import Config, InferenceEvent, Reporter

def report(unit):
    reporter.report(InferenceEvent(model_id="m", capability="c", unit_id=unit, latency_ms=1.0))

reporter = Reporter(Config("acme", sys.argv[1], topic_prefix=sys.argv[2]), flush_timeout_s=30)
report("parent-before")
reporter.flush()
report("parent-at-fork")
pid = os.fork()
if pid == 0:
    report("forked")
    sys.exit(0)
child = multiprocessing.get_context("fork").Process(target=report, args=("multiprocessing",))
child.start()
child.join()
assert os.waitpid(pid, 0)[1] == 0
assert child.exitcode == 0
report("parent-after")

def forgotten():
    local = Reporter(Config("acme", sys.argv[1], topic_prefix=sys.argv[2]), flush_timeout_s=30)
    local.report(InferenceEvent(model_id="m", capability="c", unit_id="forgotten", latency_ms=1.0))

forgotten()
"""


def test_the_end_of_a_process_flushes_and_forks_report_for_themselves(
    kafka: Kafka, config: Config
) -> None:
    subprocess.run(
        [sys.executable, "-c", CHILDREN, config.kafka_bootstrap, config.topic_prefix],
        check=True,
        timeout=120,
    )
    assert Counter(e["unit_id"] for e in inferences(kafka, config)) == dict.fromkeys(
        (
            "parent-before",
            "parent-at-fork",
            "forked",
            "multiprocessing",
            "parent-after",
            "forgotten",
        ),
        1,
    )


def test_a_selector_follows_updates_and_tombstones(kafka: Kafka, config: Config) -> None:
    publish(kafka, config, {"old": 1.0})
    publish(kafka, config, {"first": 1.0}, selection_id="s-1")
    publish(kafka, config, {"theirs": 1.0}, org_id="other")
    publish(kafka, config, {"theirs": 1.0}, org_id="acme2")
    kafka.produce(config.topic(Topic.SELECTION_UPDATES), [b"rubbish"], b"acme/broken")
    with selector(config) as chooser:
        assert chooser.wait_ready(60)
        choice = chooser.choose("chat", "u")
        assert (choice.model_id, choice.selection_id, choice.source) == ("first", "s-1", "live")
        assert chooser.status.capabilities == 1
        assert chooser.status.skipped_messages == 1

        publish(kafka, config, {"second": 1.0})
        wait_until(lambda: chooser.choose("chat", "u").model_id == "second")
        publish(kafka, config, None)
        wait_until(lambda: chooser.choose("chat", "u").source == "rules")
        assert chooser.choose("chat", "u").model_id == "ruled"


def test_a_restart_without_kafka_serves_the_snapshot(
    kafka: Kafka, config: Config, nobody: Config, tmp_path: Path
) -> None:
    snapshot = tmp_path / "deep" / "selections"
    publish(kafka, config, {"good": 0.5, "fine": 0.5})
    with selector(config, snapshot) as chooser:
        assert chooser.wait_ready(60)
        before = [chooser.choose("chat", f"u-{i}") for i in range(100)]
    started = time.monotonic()
    with selector(nobody, snapshot) as chooser:
        assert time.monotonic() - started < 5
        after = [chooser.choose("chat", f"u-{i}") for i in range(100)]
    assert {c.source for c in before} == {"live"}
    assert {c.source for c in after} == {"snapshot"}
    assert [c.model_id for c in after] == [c.model_id for c in before]


def test_without_kafka_and_snapshot_the_rules_serve_at_once(nobody: Config) -> None:
    with selector(nobody) as chooser:
        choice = chooser.choose("chat", "u")
        assert (choice.model_id, choice.source, choice.selection_id) == ("ruled", "rules", None)
        assert not chooser.wait_ready(0.1)
        wait_until(lambda: "Broker" in (chooser.status.trouble or ""))


def test_assignments_follow_the_registry(kafka: Kafka, config: Config) -> None:
    goal = MetricGoal("quality", "primary", "higher")
    arms = (Arm("a", "small"), Arm("b", "large", 3.0))
    running = AbTest("acme", "t-1", "chat", "user", arms, "a", (goal,))
    topic = config.topic(Topic.REGISTRY)
    for version in ("1", "2"):
        model = Model("acme", "large", version, "p", ("chat",))
        kafka.produce(topic, [fact(model)], model.key.encode())
    small = Model("acme", "small", "9", "p", ("chat",))
    kafka.produce(topic, [fact(small)], small.key.encode())
    kafka.produce(topic, [fact(running)], running.key.encode())
    with selector(config) as chooser:
        assert chooser.wait_ready(60)
        found = [chooser.assign("t-1", f"u-{i}") for i in range(400)]
        taken = [a for a in found if isinstance(a, Assignment)]
        assert len(taken) == 400
        assert {(a.arm, a.model_id, a.model_version, a.capability) for a in taken} == {
            ("a", "small", "9", "chat"),
            ("b", "large", None, "chat"),  # two versions are active: the registry does not say
        }
        kafka.produce(topic, [None], b"acme/model/large/1")
        wait_until(
            lambda: (
                "2"
                in {
                    getattr(chooser.assign("t-1", f"u-{i}"), "model_version", "") for i in range(20)
                }
            )
        )
        kafka.produce(topic, [fact(running, 2)], b"other/ab_test/t-1")
        kafka.produce(topic, [None], running.key.encode())
        wait_until(lambda: isinstance(chooser.assign("t-1", "u"), NotAssigned))
        named = replace(running, arms=(Arm("a", "small"), Arm("b", "large", 3.0, "7")))
        kafka.produce(topic, [fact(named, 3)], running.key.encode())
        wait_until(
            lambda: (
                "7"
                in {
                    getattr(chooser.assign("t-1", f"u-{i}"), "model_version", "") for i in range(20)
                }
            )
        )
        kafka.produce(topic, [fact(named, 4, deleted=True)], running.key.encode())
        wait_until(lambda: isinstance(chooser.assign("t-1", "u"), NotAssigned))


def test_a_forked_child_follows_for_itself(kafka: Kafka, config: Config) -> None:
    publish(kafka, config, {"first": 1.0})
    script = """
import os, sys, time
from rheostat_client import Config, Selector, SelectorOptions
selector = Selector(
    Config("acme", sys.argv[1], topic_prefix=sys.argv[2]),
    options=SelectorOptions(snapshot_path=None),
)
assert selector.wait_ready(60)
pid = os.fork()
if pid == 0:
    assert selector.choose("chat", "u").model_id == "first"
    print("ready", flush=True)
    deadline = time.monotonic() + 60
    while selector.choose("chat", "u").model_id != "second":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    sys.exit(0)
assert os.waitpid(pid, 0)[1] == 0
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script, config.kafka_bootstrap, config.topic_prefix],
        stdout=subprocess.PIPE,
        env=os.environ,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        publish(kafka, config, {"second": 1.0})
        assert process.wait(90) == 0
    finally:
        process.kill()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


def test_threads_share_a_reporter(kafka: Kafka, config: Config) -> None:
    with Reporter(config) as reporter:

        def work() -> None:
            for i in range(500):
                with reporter.inference(model_id="m", capability="c", unit_id=f"u-{i}"):
                    pass

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert reporter.flush(60) == 0
        assert reporter.counts.delivered == 2000
    assert len({e["event_id"] for e in inferences(kafka, config)}) == 2000
