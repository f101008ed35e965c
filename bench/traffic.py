"""Synthetic production traffic with a fixed seed, as columns and as encoded messages."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import fastavro
import numpy as np
import numpy.typing as npt
from confluent_kafka import KafkaError, Message, Producer

from schemas.catalog import committed
from schemas.entities import Entity, Model, Price
from schemas.wire import HEADER, MAGIC

CAPABILITIES = ("chat", "code", "extract", "vision", "summarize")
VERSION = "2026-01"
CHUNK = 50_000

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Traffic:
    """What to generate. Groups: orgs x models x 2 capabilities x 5 (no test, 2 tests of 2 arms)."""

    n: int
    base_ms: int
    events_per_s: float = 3333.0
    orgs: int = 6
    models: int = 20
    seed: int = 20261124


@dataclass(frozen=True, slots=True)
class Columns:
    """Some events side by side; numbers stand for names (`org` 3 is org-3).

    `cell`: 0 to 3 are the arms of two tests, the rest is in no test.
    """

    number: Integers
    occurred_at: Integers
    org: Integers
    model: Integers
    capability: Integers
    cell: Integers
    unit: Integers
    latency_ms: Floats
    ttft_ms: Floats
    input_tokens: Integers
    output_tokens: Integers
    quality: Floats
    rated: Mask
    failed: Mask


def columns(traffic: Traffic) -> Iterator[Columns]:
    """All events in order of time, a chunk at a time."""
    rng = np.random.default_rng(traffic.seed)
    for start in range(0, traffic.n, CHUNK):
        yield _chunk(traffic, rng, start, min(CHUNK, traffic.n - start))


def _chunk(traffic: Traffic, rng: np.random.Generator, start: int, size: int) -> Columns:
    number = np.arange(start, start + size)
    model = rng.choice(traffic.models, size, p=_zipf(traffic.models))
    latency = rng.lognormal(5 + 0.2 * (model % 5), 0.6)
    return Columns(
        number=number,
        occurred_at=(traffic.base_ms + number * (1000 / traffic.events_per_s)).astype(np.int64),
        org=rng.choice(traffic.orgs, size, p=_zipf(traffic.orgs)),
        model=model,
        capability=(model + 2 * rng.integers(0, 2, size)) % len(CAPABILITIES),
        cell=rng.integers(0, 8, size),
        unit=rng.integers(0, 50_000, size),
        latency_ms=latency,
        ttft_ms=latency * rng.uniform(0.1, 0.5, size),
        input_tokens=rng.integers(10, 4000, size),
        output_tokens=rng.integers(1, 1500, size),
        quality=rng.beta(8, 2, size),
        rated=rng.random(size) < 0.3,
        failed=rng.random(size) < 0.02,
    )


def _zipf(size: int) -> Floats:
    weights = 1 / np.arange(1, size + 1)
    share: Floats = weights / weights.sum()
    return share


def usd_per_mtok(model: int) -> tuple[int, int]:
    """(input, output) price of a model in whole USD per million tokens."""
    return 1 + model, 4 * (1 + model)


def registry(traffic: Traffic) -> Sequence[Entity]:
    """Every model of every organisation, with its price."""
    always = datetime(2020, 1, 1, tzinfo=UTC)
    return [
        Model(
            org_id=f"org-{org}",
            model_id=f"model-{model:02d}",
            model_version=VERSION,
            provider="bench",
            capabilities=tuple(
                CAPABILITIES[(model + shift) % len(CAPABILITIES)] for shift in (0, 2)
            ),
            prices=(Price(always, *usd_per_mtok(model)),),
        )
        for org in range(traffic.orgs)
        for model in range(traffic.models)
    ]


def messages(chunk: Columns) -> Iterator[tuple[bytes, bytes]]:
    """(key, value) of every event of the chunk."""
    schema = committed().newest("InferenceEvent")
    header = HEADER.pack(MAGIC, schema.schema_id)
    for event in _events(chunk):
        body = io.BytesIO()
        body.write(header)
        fastavro.schemaless_writer(body, schema.parsed, event)
        yield str(event["unit_id"]).encode(), body.getvalue()


def _events(chunk: Columns) -> Iterator[dict[str, object]]:
    rows = zip(*(getattr(chunk, name).tolist() for name in Columns.__slots__), strict=True)
    for i, at, org, model, capability, cell, unit, latency, ttft, inputs, outputs, q, r, f in rows:
        tested = cell < 4
        yield {
            "event_id": f"e{i:012d}",
            "occurred_at": at,
            "org_id": f"org-{org}",
            "model_id": f"model-{model:02d}",
            "model_version": VERSION,
            "capability": CAPABILITIES[capability],
            "ab_test_id": f"test-{cell // 2}" if tested else None,
            "arm": f"arm-{cell % 2}" if tested else None,
            "unit_id": f"user-{unit}",
            "propensity": None,
            "selection_id": None,
            "latency_ms": latency,
            "ttft_ms": ttft,
            "input_tokens": inputs,
            "output_tokens": outputs,
            "cached_input_tokens": 0,
            "cost_usd": None,
            "quality": q if r else None,
            "error_type": "timeout" if f else None,
        }


class Sender:
    """An idempotent producer that notices what was not delivered."""

    def __init__(self, bootstrap: str, **own: str | int) -> None:
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "compression.type": "lz4",
                "linger.ms": 50,
                "batch.size": 512 * 1024,
                "queue.buffering.max.messages": 500_000,
                "message.max.bytes": 16 * 1024 * 1024,
                **{name.replace("_", "."): value for name, value in own.items()},
            }
        )
        self._failed: list[KafkaError] = []

    def send(self, topic: str, value: bytes, key: bytes | None = None, partition: int = -1) -> None:
        """Queues a message; waits while the queue is full."""
        while True:
            try:
                self._producer.produce(
                    topic, value, key, partition=partition, on_delivery=self._delivered
                )
            except BufferError:
                self._producer.poll(0.05)
            else:
                return

    def poll(self) -> None:
        """Takes the delivery reports that have come."""
        self._producer.poll(0)

    def finish(self, timeout_s: float = 120.0) -> None:
        """Waits until everything is delivered; raises RuntimeError when anything was not."""
        left = self._producer.flush(timeout_s)
        if self._failed or left:
            raise RuntimeError(f"{len(self._failed) + left} messages were not delivered")

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._failed.append(error)
