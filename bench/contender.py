"""The data lane on the job that other stream processors are measured with (see bench/parts/peers).

Their events have another schema: the bytes are decoded by the same code under their schema with our
field names. What they lack (a version, a price) is left out; what we add (A/B dimensions, sketches
of five more metrics) is computed all the same.
"""

import importlib.util
import json
import os
import resource
import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # re-exported at run time
    AdminClient,
    NewTopic,
)

from schemas.catalog import FileCatalog, committed, writer_schema
from schemas.topics import Topic
from schemas.wire import Codec
from streams.aggregate import wide
from streams.columns import Records, Texts
from streams.decode import decode
from streams.kafka import KafkaConfig
from streams.partials import PANE, from_record
from streams.reduce import Reduced
from streams.registry_view import RegistryView
from streams.source import SourceBatch, SourceConfig
from streams.telemetry import Health
from streams.types import InvalidRecord, RawBatch
from streams.validate import validate
from streams.worker import Worker, WorkerConfig
from tests.support.servers import Kafka

PARTITIONS = 4
WEEK_MS = 7 * 86_400_000
RECORD = "InferenceEvent"
NAMES = {"ts": "occurred_at", "experiment_id": "ab_test_id"}


@dataclass(frozen=True, slots=True)
class PeersKafka(KafkaConfig):
    """Our topics behind the run's prefix, and their events."""

    events: str = ""

    def topic(self, topic: Topic) -> str:
        return self.events if topic is Topic.INFERENCE_EVENTS else KafkaConfig.topic(self, topic)


def catalog(folder: Path) -> FileCatalog:
    """Our schemas, with theirs in the place of id 1."""
    source = json.loads((folder / "inference_event.avsc").read_text())
    fields = [{**f, "name": NAMES.get(f["name"], f["name"])} for f in source["fields"]]
    theirs = writer_schema(1, 1, {**source, "fields": fields})
    return FileCatalog({**committed().schemas, 1: theirs})


def as_ours(records: Records) -> Records:
    """The records with the fields that only ours have."""
    nowhere = np.zeros(len(records), np.int64)
    failed = records.numbers["error"].values == 1
    # Its text is never read, only that there is one.
    error = Texts(nowhere, failed.astype(np.int64), nowhere, nowhere, failed)
    absent = Texts(nowhere, nowhere, nowhere, nowhere, np.zeros(len(records), np.bool_))
    # The same bytes as another field: the version must say something and split no group.
    version = records.texts["model_id"]
    texts = {**records.texts, "error_type": error, "selection_id": absent, "model_version": version}
    none = replace(records.numbers["quality"], present=np.zeros(len(records), np.bool_))
    zero = replace(records.numbers["input_tokens"], values=nowhere)
    absents = {"ttft_ms": none, "propensity": none, "cached_input_tokens": zero}
    return replace(records, texts=texts, numbers={**records.numbers, **absents})


class Contender(Worker):
    """Our worker: its source, decoder, rules, sums, partials and transactions."""

    def begin(self, events: int, stop: threading.Event) -> None:
        """What to do and whom to tell."""
        self.left, self.stop = events, stop
        self.wall_s, self.cpu_s = 0.0, 0.0

    def _loop(self, stop: threading.Event) -> None:
        wall, cpu = time.perf_counter(), _cpu_s()
        Worker._loop(self, stop)
        self.wall_s, self.cpu_s = time.perf_counter() - wall, _cpu_s() - cpu

    def _process(self, batch: SourceBatch) -> None:
        reduced, context = Reduced(), self._context()
        for raw in batch.raws:
            decoded = decode(raw, RECORD, self.catalog)
            _refuse(raw, decoded.rejects)
            for theirs in decoded.records:
                records = as_ours(theirs)
                validity = validate(records, raw, WEEK_MS)
                _refuse(raw, validity.rejects)
                reduced.wide.append(wide(records, validity.valid, "production", context.prices))
        self._commit(batch, self._outgoing(batch, reduced))
        self.left -= batch.count
        if self.left <= 0:
            self.stop.set()


def _refuse(raw: RawBatch, rejects: Any) -> None:
    found: list[InvalidRecord] = list(rejects)
    if found:
        raise RuntimeError(f"{len(found)} events of {raw.topic} are rejected: {found[0]}")


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def rows(kafka: KafkaConfig, codec: Codec) -> dict[str, list[float]]:
    """Our partials summed to their rows: count, errors, latency, latency squared, cost, quality."""
    messages = Kafka(kafka.bootstrap).read_all(kafka.topic(Topic.METRIC_PARTIALS))
    frames = [from_record(codec.decode(m.value(), "MetricPartials")).frame for m in messages]
    sums = (
        pl.concat(frames)
        .group_by("org_id", "model_id", "capability", "pane", "metric")
        .agg(pl.col("n", "total", "total_sq").sum())
        .with_columns(pl.col("pane").cast(PANE).cast(pl.Int64))
    )
    found: dict[str, list[float]] = {}
    for org, model, capability, pane, metric, n, total, total_sq in sums.rows():
        row = found.setdefault(f"{org}|{model}|{capability}@{pane}", [0, 0, 0.0, 0.0, 0.0, 0.0])
        match metric:
            case "error":
                row[0], row[1] = n, round(total)
            case "latency_ms":
                row[2], row[3] = total, total_sq
            case "cost_usd":
                row[4] = total
            case "quality":
                row[5] = total
    return found


def main() -> None:
    """One run under the peers' run.py; prints their RESULT line."""
    folder = Path(os.environ["RHEOSTAT_BENCH_PEERS"])
    run, truth = os.environ["PEERS_RUN"], json.loads(Path(os.environ["PEERS_TRUTH"]).read_text())
    kafka = PeersKafka(
        os.environ["PEERS_BOOTSTRAP"], topic_prefix=f"{run}-", events=os.environ["PEERS_TOPIC"]
    )
    _create_topics(kafka)
    codec, stop = Codec(committed()), threading.Event()
    source = SourceConfig(kafka, [Topic.INFERENCE_EVENTS], run, run, 50_000, 200)
    with RegistryView(kafka, codec) as registry:
        worker = Contender(WorkerConfig(source, WEEK_MS), catalog(folder), registry, Health())
        worker.begin(truth["n"], stop)
        worker.run(stop)
    check = _verify(folder)(rows(kafka, codec), truth)
    result = {
        "bench": "rheostat eos",
        "n": truth["n"],
        "wall_s": worker.wall_s,
        "cpu_s": worker.cpu_s,
        "verified": check["complete"],
    }
    sys.stdout.write(f"\nRESULT {json.dumps(result)}\n")


def _create_topics(kafka: KafkaConfig) -> None:
    topics = (Topic.METRIC_PARTIALS, Topic.DEAD_LETTERS, Topic.REGISTRY)
    new = [
        NewTopic(kafka.topic(t), PARTITIONS, 1, config={"max.message.bytes": str(16 * 1024 * 1024)})
        for t in topics
    ]
    client = AdminClient(kafka.admin())
    for future in client.create_topics(new).values():
        try:
            future.result(30)
        except KafkaException as error:
            raise SystemExit(f"a topic was not created: {error}") from error


def _verify(folder: Path) -> Any:
    """Their own comparison with their truth."""
    spec = importlib.util.spec_from_file_location("peers_common", folder / "common.py")
    if spec is None or spec.loader is None:
        raise SystemExit(f"{folder} holds no common.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.verify_rows


if __name__ == "__main__":
    main()
