"""Events per CPU-second of the data lane, exactly once, beside the bare consume rate."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass

from bench.context import Context
from bench.figures import Figure, median, ratio
from bench.lab import CODEC, Child, Offsets, apply_registry, forget_group, read_messages
from bench.traffic import Sender, Traffic, columns, messages, registry
from bench.truth import Truth, faults
from infra.settings import Settings
from infra.workers import kafka_config
from schemas.topics import Topic
from streams.partials import from_record

POLL_S = 0.05
TIMEOUT_S = 900.0


@dataclass(frozen=True, slots=True)
class Sample:
    """A look at the worker from outside: events committed, its CPU time, the clock."""

    events: int
    cpu_s: float
    wall_s: float


@dataclass(frozen=True, slots=True)
class Load:
    """A filled topic and what its events come to."""

    settings: Settings
    truth: Truth


def run(context: Context) -> dict[str, Figure]:
    """Consume and count the same topic in turns."""
    load = fill(context, context.events)
    bare: list[Sample] = []
    counted: list[Sample] = []
    for number in range(1, context.rounds + 1):
        context.say(f"round {number} of {context.rounds}: bare consume")
        bare.append(consume(load))
        context.say(f"round {number} of {context.rounds}: the data lane")
        counted.append(count(context, load)[-1])
    per_cpu, bare_per_cpu = ([s.events / s.cpu_s for s in runs] for runs in (counted, bare))
    per_wall, bare_per_wall = ([s.events / s.wall_s for s in runs] for runs in (counted, bare))
    return {
        "data_lane.events": load.truth.events,
        "data_lane.groups": load.truth.groups,
        "data_lane.rounds": context.rounds,
        "data_lane.events_per_cpu_second": round(median(per_cpu)),
        "data_lane.events_per_cpu_second_best": round(max(per_cpu)),
        "data_lane.events_per_second": round(median(per_wall)),
        "data_lane.consume_per_cpu_second": round(median(bare_per_cpu)),
        "data_lane.consume_per_second": round(median(bare_per_wall)),
        "data_lane.ratio_to_consume": round(ratio(per_cpu, bare_per_cpu), 4),
        "data_lane.ratio_to_consume_wall": round(ratio(per_wall, bare_per_wall), 4),
        "data_lane.verified": "yes",
    }


def fill(context: Context, events: int) -> Load:
    """Topics with a registry and this many events, and their truth."""
    settings = context.lab.new_settings()
    now_ms = int(time.time() * 1000)
    traffic = Traffic(events, now_ms)
    traffic = Traffic(events, now_ms - int(events / traffic.events_per_s * 1000))
    apply_registry(settings, registry(traffic))
    topic = kafka_config(settings).topic(Topic.INFERENCE_EVENTS)
    sender, truth = Sender(settings.bootstrap), Truth()
    with context.progress(f"producing {events:,} events", events) as advance:
        for chunk in columns(traffic):
            truth.add(chunk)
            for key, value in messages(chunk):
                sender.send(topic, value, key)
            sender.poll()
            advance(len(chunk.number))
        sender.finish()
    return Load(settings, truth)


def consume(load: Load) -> Sample:
    """The bare rate, in a process of its own."""
    settings = load.settings
    topic = kafka_config(settings).topic(Topic.INFERENCE_EVENTS)
    sizes = [load.truth.events, settings.batch_size, settings.linger_ms]
    command = [sys.executable, "-m", "bench.consume", settings.bootstrap, topic, *map(str, sizes)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=TIMEOUT_S)
    found = json.loads(done.stdout)
    return Sample(found["events"], found["cpu_s"], found["wall_s"])


def count(context: Context, load: Load) -> list[Sample]:
    """A worker counts the topic from its beginning; growing samples, the last one complete.

    From the moment it is ready, before its first batch, to the commit of its last. Raises
    RuntimeError when what it counted is not the truth.
    """
    forget_group(load.settings, "streams")
    partials = Offsets(load.settings, "bench-reader", Topic.METRIC_PARTIALS)
    try:
        first = partials.ends()
        with context.lab.worker("streams", load.settings) as worker:
            samples = _watch(load, worker)
        last = partials.ends()
    finally:
        partials.close()
    records = [m.value() for m in read_messages(load.settings, first, last)]
    tidy = [from_record(CODEC.decode(value, "MetricPartials")).frame for value in records]
    wrong = faults(load.truth, tidy)
    if wrong:
        raise RuntimeError("the data lane counted wrongly: " + "; ".join(wrong))
    return samples


def _watch(load: Load, worker: Child) -> list[Sample]:
    began, cpu = time.perf_counter(), worker.cpu_s()
    source = Offsets(load.settings, "streams", Topic.INFERENCE_EVENTS)
    samples: list[Sample] = []
    try:
        while not samples or samples[-1].events < load.truth.events:
            time.sleep(POLL_S)
            events, used = source.committed(), worker.cpu_s()
            if not samples or events > samples[-1].events:
                samples.append(Sample(events, used - cpu, time.perf_counter() - began))
            elif time.perf_counter() - began > TIMEOUT_S:
                raise TimeoutError(f"{events:,} events were counted in {TIMEOUT_S:g} s")
    finally:
        source.close()
    return samples
