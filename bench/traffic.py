"""Synthetic production traffic with a fixed seed: events of many models, ready to be produced."""

import io
from collections.abc import Iterator
from dataclasses import dataclass

import fastavro
import numpy as np
from confluent_kafka import KafkaError, Message, Producer

from schemas.catalog import committed
from schemas.wire import HEADER, MAGIC

CAPABILITIES = ("chat", "code", "extract", "vision", "summarize")
CHUNK = 50_000


@dataclass(frozen=True, slots=True)
class Traffic:
    """What to generate. Groups: orgs x models x 2 capabilities x 5 (no test, 2 tests of 2 arms)."""

    n: int
    base_ms: int
    events_per_s: float = 3333.0
    orgs: int = 6
    models: int = 20
    capabilities: int = 5
    seed: int = 20261124


def events(traffic: Traffic) -> Iterator[tuple[bytes, bytes]]:
    """(key, value) of every event, in order of time."""
    schema = committed().newest("InferenceEvent")
    header = HEADER.pack(MAGIC, schema.schema_id)
    rng = np.random.default_rng(traffic.seed)
    for start in range(0, traffic.n, CHUNK):
        size = min(CHUNK, traffic.n - start)
        for i, row in enumerate(_rows(traffic, rng, start, size), start):
            body = io.BytesIO()
            body.write(header)
            fastavro.schemaless_writer(body, schema.parsed, _event(i, row))
            yield f"user-{row[5]}".encode(), body.getvalue()


def _rows(
    traffic: Traffic, rng: np.random.Generator, start: int, size: int
) -> Iterator[tuple[int, int, int, int, int, int, float, float, int, int, float, int, int]]:
    at = traffic.base_ms + (np.arange(start, start + size) * (1000 / traffic.events_per_s))
    model = rng.choice(traffic.models, size, p=_zipf(traffic.models))
    capability = (model + 2 * rng.integers(0, 2, size)) % traffic.capabilities
    latency = rng.lognormal(5 + 0.2 * (model % 5), 0.6)
    columns = (
        at.astype(np.int64),
        rng.choice(traffic.orgs, size, p=_zipf(traffic.orgs)),
        model,
        capability,
        rng.integers(0, 8, size),  # half of the traffic is in one of two tests, with two arms
        rng.integers(0, 50_000, size),
        latency,
        latency * rng.uniform(0.1, 0.5, size),
        rng.integers(10, 4000, size),
        rng.integers(1, 1500, size),
        rng.beta(8, 2, size),
        rng.random(size) < 0.3,
        rng.random(size) < 0.02,
    )
    return zip(*(column.tolist() for column in columns), strict=True)


def _zipf(size: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    weights = 1 / np.arange(1, size + 1)
    share: np.ndarray[tuple[int], np.dtype[np.float64]] = weights / weights.sum()
    return share


def _event(i: int, row: tuple[object, ...]) -> dict[str, object]:
    (
        at,
        org,
        model,
        capability,
        cell,
        unit,
        latency,
        ttft,
        inputs,
        outputs,
        quality,
        rated,
        failed,
    ) = row
    tested = isinstance(cell, int) and cell < 4
    return {
        "event_id": f"e{i:012d}",
        "occurred_at": at,
        "org_id": f"org-{org}",
        "model_id": f"model-{model:02d}" if isinstance(model, int) else "",
        "model_version": "2026-01",
        "capability": CAPABILITIES[capability] if isinstance(capability, int) else "",
        "ab_test_id": f"test-{cell // 2}" if isinstance(cell, int) and tested else None,
        "arm": f"arm-{cell % 2}" if isinstance(cell, int) and tested else None,
        "unit_id": f"user-{unit}",
        "propensity": None,
        "selection_id": None,
        "latency_ms": latency,
        "ttft_ms": ttft,
        "input_tokens": inputs,
        "output_tokens": outputs,
        "cached_input_tokens": 0,
        "cost_usd": None,
        "quality": quality if rated else None,
        "error_type": "timeout" if failed else None,
    }


def produce(bootstrap: str, topic: str, traffic: Traffic) -> None:
    """Writes the events; raises RuntimeError when any was not delivered."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,
            "compression.type": "lz4",
            "linger.ms": 50,
            "batch.size": 512 * 1024,
            "queue.buffering.max.messages": 500_000,
        }
    )
    failed: list[KafkaError] = []

    def delivered(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failed.append(error)

    for key, value in events(traffic):
        while True:
            try:
                producer.produce(topic, value, key, on_delivery=delivered)
                break
            except BufferError:
                producer.poll(0.05)
    left = producer.flush(120)
    if failed or left:
        raise RuntimeError(f"{len(failed) + left} events were not delivered to {topic}")
