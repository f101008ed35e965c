"""kill -9 of everything at random instants while events flow; then counts are compared exactly.

python -m bench.chaos --kills 40 --seed 1
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench.stack import Stack
from schemas.catalog import committed
from schemas.wire import Codec
from tests.support.events import inference

TARGETS = ("streams", "sinks", "agents", "kafka", "clickhouse", "supervisor")
RESULT = Path(__file__).parent / "results" / "chaos.json"
SETTLE_S = 240.0
CODEC = Codec(committed())
console = Console()

REGISTRY = """
models:
  - {org_id: acme, model_id: small, model_version: "1", provider: local, capabilities: [chat],
     status: active, prices: [{valid_from: 2024-01-01T00:00:00Z, input_usd_per_mtok: 0.15,
                               output_usd_per_mtok: 0.6}]}
  - {org_id: acme, model_id: large, model_version: "1", provider: local, capabilities: [chat],
     status: active, prices: [{valid_from: 2024-01-01T00:00:00Z, input_usd_per_mtok: 2.5,
                               output_usd_per_mtok: 10}]}
ab_tests:
  - {org_id: acme, ab_test_id: sizes, capability: chat, unit: user, baseline: a,
     arms: [{arm: a, model_id: small, weight: 1}, {arm: b, model_id: large, weight: 1}],
     metrics: [{metric: quality, role: primary, direction: higher, margin: 0.001}],
     alpha: 0.05, planned_n: 100000, status: running}
policies:
  - {org_id: acme, capability: chat,
     weights: {quality: 1, cost_usd: 0.1, latency_ms: 0.1, error: 1},
     scales: {cost_usd: 0.01, latency_ms: 1000}, constraints: {max_error_rate: 0.5},
     min_samples: 50, window_minutes: 60, min_dwell_s: 1, fallback: [small]}
"""


@dataclass(slots=True)
class Traffic:
    """Writes events until stopped, and counts what the broker acknowledged."""

    bootstrap: str
    rate_per_s: int
    seed: int
    good: int = 0
    bad: int = 0
    tested: int = 0
    lost: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """An idempotent producer that never gives up: acknowledged means exactly once."""
        rng = random.Random(self.seed)
        producer = Producer(
            {
                "bootstrap.servers": self.bootstrap,
                "enable.idempotence": True,
                "delivery.timeout.ms": 600_000,
                "linger.ms": 20,
                "log_level": 0,
            }
        )
        number = 0
        while not self.stop.is_set():
            for _ in range(self.rate_per_s // 20):
                number += 1
                kind, value = self._value(rng, number)
                key = f"user-{rng.randrange(500)}".encode()
                producer.produce("inference-events", value, key, on_delivery=self._counted(kind))
                producer.poll(0)
            self.stop.wait(0.05)
        left = producer.flush(300)
        if left:
            self.lost.append(f"{left} events never acknowledged")

    def _counted(self, kind: str) -> Any:
        def delivered(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                self.lost.append(str(error))
                return
            self.good += kind != "bad"
            self.bad += kind == "bad"
            self.tested += kind == "tested"

        return delivered

    def _value(self, rng: random.Random, number: int) -> tuple[str, bytes | None]:
        if rng.random() < 0.01:
            wrong = [None, b"", b"\x00\x00\x00\xff\xff", b"junk", rng.randbytes(40)]
            return "bad", rng.choice(wrong)
        arm = rng.choice(["a", "b", None])
        event = inference(
            event_id=f"e-{number}",
            occurred_at=int(time.time() * 1000) - rng.randrange(60_000),
            model_id="large" if arm == "b" else "small",
            ab_test_id=None if arm is None else "sizes",
            arm=arm,
            latency_ms=rng.lognormvariate(5, 0.5),
            quality=rng.random(),
        )
        return "good" if arm is None else "tested", CODEC.encode("InferenceEvent", event)


def main(
    kills: Annotated[int, typer.Option(help="How many processes to kill.")] = 36,
    seed: Annotated[int, typer.Option(help="Seed of instants and victims.")] = 1,
    rate: Annotated[int, typer.Option(help="Events a second.")] = 2000,
) -> None:
    """Kills, restarts, waits for the backlog, compares. Exit 1 when a single count differs."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="rheostat-chaos-") as folder:
        stack = Stack(Path(folder) / "data")
        stack.start()
        try:
            stack.wait_ready()
            _apply_registry(stack, Path(folder))
            traffic = Traffic(stack.bootstrap, rate, seed)
            thread = threading.Thread(target=traffic.run)
            thread.start()
            killed = _kill_at_random(stack, rng, kills)
            time.sleep(5)
            traffic.stop.set()
            thread.join()
            result = _settle(stack, traffic)
        finally:
            stack.stop()
    result["kills"] = dict(killed)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    _show(result)
    sys.exit(0 if result["exact"] else 1)


def _apply_registry(stack: Stack, folder: Path) -> None:
    path = folder / "registry.yaml"
    path.write_text(REGISTRY)
    env = {**os.environ, "RHEOSTAT_KAFKA_BOOTSTRAP": stack.bootstrap}
    command = [sys.executable, "-m", "infra", "registry", "apply", str(path)]
    subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL, timeout=60)


def _kill_at_random(stack: Stack, rng: random.Random, kills: int) -> Counter[str]:
    """Every target in turn in a random order, at random instants."""
    killed: Counter[str] = Counter()
    order: list[str] = []
    with Progress(console=console) as progress:
        task = progress.add_task("killing", total=kills)
        while killed.total() < kills:
            time.sleep(rng.uniform(0.3, 5.0))
            order = order or rng.sample(TARGETS, len(TARGETS))
            name = order.pop()
            if stack.kill(name):
                killed[name] += 1
                progress.update(task, advance=1, description=f"killed {name}")
                if name == "supervisor":
                    stack.start()
    return killed


def _settle(stack: Stack, traffic: Traffic) -> dict[str, Any]:
    """Waits until every count has arrived, and a little longer, in case one is too many."""
    deadline = time.monotonic() + SETTLE_S
    with console.status("waiting for the backlog"):
        found = _counts(stack)
        while time.monotonic() < deadline and not _exact(found, traffic):
            time.sleep(1)
            found = _counts(stack)
        time.sleep(5)
        found = _counts(stack)
    return {
        "produced": traffic.good,
        "produced_invalid": traffic.bad,
        "produced_in_ab_test": traffic.tested,
        **found,
        "lost": traffic.lost[:5],
        "exact": _exact(found, traffic),
    }


def _exact(found: dict[str, int | None], traffic: Traffic) -> bool:
    good = ("counted", "counted_hours", "counted_days", "stored", "stored_distinct")
    return (
        not traffic.lost
        and all(found[name] == traffic.good for name in good)
        and found["dead_lettered"] == found["dead_lettered_distinct"] == traffic.bad
        and found["dead_letter_rows"] == traffic.bad
        and found["in_ab_verdict"] == traffic.tested
    )


def _counts(stack: Stack) -> dict[str, int | None]:
    letters = _letters(stack)
    verdict = "SELECT sum(e) FROM (SELECT arrayJoin(`arms.events`) e FROM (SELECT `arms.events` "
    verdict += (
        "FROM rheostat.ab_verdicts WHERE ab_test_id = 'sizes' ORDER BY src_offset DESC LIMIT 1))"
    )
    queries = {
        "counted": "SELECT sum(n) FROM rheostat.metric_panes WHERE metric = 'error'",
        "counted_hours": "SELECT sum(n) FROM rheostat.metric_hours WHERE metric = 'error'",
        "counted_days": "SELECT sum(n) FROM rheostat.metric_days WHERE metric = 'error'",
        "stored": "SELECT count() FROM rheostat.inference_events",
        "stored_distinct": (
            "SELECT uniqExact(src_partition, src_offset) FROM rheostat.inference_events"
        ),
        "dead_letter_rows": "SELECT count() FROM rheostat.dead_letters",
        "in_ab_verdict": verdict,
    }
    found: dict[str, int | None] = {name: stack.query(sql) for name, sql in queries.items()}
    return {**found, "dead_lettered": len(letters), "dead_lettered_distinct": len(set(letters))}


def _letters(stack: Stack) -> list[tuple[int, int]]:
    """Source coordinates of every committed dead letter."""
    consumer = Consumer(
        {
            "bootstrap.servers": stack.bootstrap,
            "group.id": "chaos-count",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "log_level": 0,
        }
    )
    found: list[tuple[int, int]] = []
    try:
        partitions = (
            consumer.list_topics("dead-letters", timeout=20).topics["dead-letters"].partitions
        )
        consumer.assign([TopicPartition("dead-letters", p, 0) for p in partitions])
        ended = 0
        while ended < len(partitions):
            for message in consumer.consume(1000, 1.0):
                error = message.error()
                if error is not None:
                    ended += error.code() == KafkaError._PARTITION_EOF
                else:
                    letter = CODEC.decode(message.value() or b"", "DeadLetter")
                    found.append((letter["source_partition"], letter["source_offset"]))
    finally:
        consumer.close()
    return found


def _show(result: dict[str, Any]) -> None:
    table = Table("count", "value")
    for name, value in result.items():
        table.add_row(name, str(value))
    console.print(table)
    verdict = "[green]exact[/]" if result["exact"] else "[bold red]NOT exact[/]"
    console.print(
        f"{verdict} after {sum(result['kills'].values())} kills; written to {RESULT.name}"
    )


if __name__ == "__main__":
    typer.run(main)
