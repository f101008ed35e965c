"""A whole stack under a steady stream: from event to pane, from event to selection, and memory."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import clickhouse_connect
import psutil
from confluent_kafka import Consumer
from confluent_kafka import KafkaError as KafkaCode

from agents.registry.apply import apply
from bench.context import Context
from bench.figures import Figure, percentile, slope
from bench.lab import CODEC
from bench.stack import Stack
from bench.steady import Probes, Stream, pool, probe_entities, probe_orgs
from bench.traffic import CAPABILITIES, Traffic, registry
from infra.settings import Settings
from infra.workers import kafka_config
from schemas.entities import SelectionPolicy

POLL_S = 0.05
WARM_UP_S = 15.0
SETTLE_S = 60.0
WORKERS = ("streams", "sinks", "agents")
EVENTS_SQL = "SELECT count() FROM rheostat.inference_events"
PANES_SQL = "SELECT sum(n) FROM rheostat.metric_panes WHERE metric = 'error'"


@dataclass(slots=True)
class Memory:
    """Resident memory of the workers, once a second."""

    at_s: list[float] = field(default_factory=list)
    rss_mb: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in WORKERS})

    def look(self, processes: Mapping[str, psutil.Process], now_s: float) -> None:
        """Takes one sample of each."""
        self.at_s.append(now_s)
        for name, process in processes.items():
            self.rss_mb[name].append(process.memory_info().rss / 2**20)

    def growth_mb_per_minute(self, name: str) -> float:
        """Of the second half of the run: the first half may still fill buffers."""
        half = len(self.at_s) // 2
        return 60 * slope(self.at_s[half:], self.rss_mb[name][half:])


def run(context: Context) -> dict[str, Figure]:
    """Starts a stack, streams, watches, checks the counts."""
    folder = context.lab.folder / "stack"
    stack = Stack(folder)
    context.say("starting a whole stack")
    stack.start()
    try:
        stack.wait_ready()
        settings = Settings(kafka_bootstrap=stack.bootstrap, data_dir=folder)
        traffic = Traffic(50_000, int(time.time() * 1000))
        orgs = probe_orgs(settings.partitions)
        entities = [*registry(traffic), *_policies(traffic), *probe_entities(orgs)]
        apply(entities, kafka_config(settings), CODEC, "bench")
        stream = Stream(
            stack.bootstrap, "inference-events", pool(traffic), orgs, context.rate_per_s
        )
        return _measure(context, stack, stream)
    finally:
        stack.stop()


def _policies(traffic: Traffic) -> list[SelectionPolicy]:
    return [
        SelectionPolicy(f"org-{org}", capability)
        for org in range(traffic.orgs)
        for capability in CAPABILITIES
    ]


def _measure(context: Context, stack: Stack, stream: Stream) -> dict[str, Figure]:
    panes, selections = Probes(stream.sent_s), Probes(stream.sent_s)
    processes = {name: psutil.Process(stack.pid(name)) for name in WORKERS}
    stop = threading.Event()
    watchers = [
        _Watcher(lambda: _watch_panes(stack, stream.orgs, panes, stop)),
        _Watcher(lambda: _watch_selections(stack, selections, stop)),
    ]
    for watcher in watchers:
        watcher.start()
    memory = Memory()

    def look() -> None:
        if not memory.at_s or time.time() - memory.at_s[-1] >= 1:
            memory.look(processes, time.time())

    try:
        with context.progress("warming up", WARM_UP_S) as advance:
            stream.run(WARM_UP_S, advance)
        from_s, cpu = time.time(), {n: sum(p.cpu_times()[:2]) for n, p in processes.items()}
        text = f"{context.rate_per_s:,} events/s for {context.steady_s:g} s"
        with context.progress(text, context.steady_s) as advance:

            def tick(seconds: float) -> None:
                advance(seconds)
                look()

            rate = stream.run(context.steady_s, tick)
        used = {n: sum(p.cpu_times()[:2]) - cpu[n] for n, p in processes.items()}
        context.say("comparing counts")
        _settle(stack, stream, (panes, selections))
    finally:
        stop.set()
        for watcher in watchers:
            watcher.end()
    return {
        "end_to_end.events_per_second": round(rate),
        "end_to_end.events": stream.sent,
        **_delays("pane", panes.delays_ms(from_s)),
        **_delays("selection", selections.delays_ms(from_s)),
        **{f"end_to_end.{n}_cpu_share": round(s / context.steady_s, 3) for n, s in used.items()},
        **_memory(memory),
    }


def _delays(name: str, delays_ms: Sequence[float]) -> dict[str, Figure]:
    return {
        f"end_to_end.{name}_p50_ms": round(percentile(delays_ms, 0.5)),
        f"end_to_end.{name}_p99_ms": round(percentile(delays_ms, 0.99)),
        f"end_to_end.{name}_max_ms": round(max(delays_ms)),
        f"end_to_end.{name}_probes": len(delays_ms),
    }


def _memory(memory: Memory) -> dict[str, Figure]:
    most = {name: max(values) for name, values in memory.rss_mb.items()}
    growth = {name: memory.growth_mb_per_minute(name) for name in WORKERS}
    return {
        **{f"worker.{name}_rss_mb": round(mb, 1) for name, mb in most.items()},
        **{f"worker.{n}_rss_growth_mb_per_minute": round(mb, 2) for n, mb in growth.items()},
        "worker.rss_mb": round(max(most.values()), 1),
        "worker.rss_growth_mb_per_minute": round(max(growth.values()), 2),
    }


def _settle(stack: Stack, stream: Stream, probes: Sequence[Probes]) -> None:
    """Waits until everything has arrived. Raises RuntimeError when a count is wrong."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        found = {sql: stack.query(sql) for sql in (EVENTS_SQL, PANES_SQL)}
        seen = all(len(p.seen_s[o]) >= len(s) for p in probes for o, s in stream.sent_s.items())
        if seen and set(found.values()) == {stream.sent}:
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"{stream.sent} events were sent; found: {found}, probes: {seen}")
        time.sleep(0.2)


class _Watcher(threading.Thread):
    """A thread whose failure is not lost."""

    def __init__(self, watch: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self._watch = watch
        self._failure: Exception | None = None

    def run(self) -> None:
        try:
            self._watch()
        except Exception as error:
            self._failure = error

    def end(self) -> None:
        """Waits for the end. Raises what the thread raised."""
        self.join(30)
        if self._failure is not None:
            raise RuntimeError(f"a watcher failed: {self._failure!r}") from self._failure


def _watch_panes(stack: Stack, orgs: Sequence[str], probes: Probes, stop: threading.Event) -> None:
    client = clickhouse_connect.get_client(
        host="127.0.0.1", port=stack.clickhouse_port, autogenerate_session_id=False
    )
    names = ", ".join(f"'{org}'" for org in orgs)
    sql = (
        "SELECT org_id, sum(n) FROM rheostat.metric_panes "
        f"WHERE metric = 'error' AND org_id IN ({names}) GROUP BY org_id"
    )
    while not stop.wait(POLL_S):
        rows = client.query(sql).result_rows
        now_s = time.time()
        for org, count in rows:
            probes.seen(org, int(count), now_s)
    client.close()


def _watch_selections(stack: Stack, probes: Probes, stop: threading.Event) -> None:
    consumer = Consumer(
        {
            "bootstrap.servers": stack.bootstrap,
            "group.id": "bench-selections",
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 50,
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe(["selection-updates"])
    try:
        while not stop.is_set():
            message = consumer.poll(0.2)
            if message is None:
                continue
            error = message.error()
            if error is not None:
                if error.code() == KafkaCode.UNKNOWN_TOPIC_OR_PART:
                    continue
                raise RuntimeError(f"selection updates cannot be read: {error}")
            update: dict[str, Any] = CODEC.decode(message.value() or b"", "SelectionUpdate")
            samples = sum(c["samples"] for c in update["candidates"])
            probes.seen(update["org_id"], samples, time.time())
    finally:
        consumer.close()
