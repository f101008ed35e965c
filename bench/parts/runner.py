"""What the evaluation runner costs for a case, and how near it comes to an ideal one.

The runner is a process of its own, measured from outside; so is the scripted endpoint, which is no
part of either figure.
"""

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from confluent_kafka import Consumer, Message, Producer, TopicPartition

from bench.context import Context
from bench.figures import Figure, median
from bench.lab import CODEC, Offsets, apply_registry
from infra.settings import Settings
from infra.workers import kafka_config
from schemas.convert import to_record
from schemas.entities import Endpoint, Model, RateLimits
from schemas.evaluations import EvaluationCase
from schemas.suites import PromptMessage, ScorerUse
from schemas.topics import Topic

CONCURRENCY = 200
LONG_MS, LONG_CASES = 1000, 4_000
SHORT_MS, SHORT_CASES = 50, 1_000
WARM = 400
TIMEOUT_S = 120.0
PADDING = "x" * 400


@dataclass(frozen=True, slots=True)
class Sample:
    """CPU time of the runner, and the wall time from the first call to the last result."""

    cpu_s: float
    wall_s: float


def run(context: Context) -> dict[str, Figure]:
    """Each figure is the median over the rounds; every round has its own topics and runner."""
    long: list[Sample] = []
    short: list[Sample] = []
    for number in range(1, context.rounds + 1):
        context.say(f"round {number} of {context.rounds}: {LONG_CASES} cases of {LONG_MS} ms")
        long.append(sample(context, LONG_MS, LONG_CASES))
        context.say(f"round {number} of {context.rounds}: {SHORT_CASES} cases of {SHORT_MS} ms")
        short.append(sample(context, SHORT_MS, SHORT_CASES))
    ideal_s = SHORT_CASES / CONCURRENCY * SHORT_MS / 1000
    return {
        "runner.cpu_ms_per_case": round(median([s.cpu_s for s in long]) / LONG_CASES * 1000, 3),
        "runner.cpu_ms_per_case_full": round(
            median([s.cpu_s for s in short]) / SHORT_CASES * 1000, 3
        ),
        "runner.ratio_to_ideal": round(median([s.wall_s for s in short]) / ideal_s, 3),
        "runner.ratio_to_ideal_long": round(
            median([s.wall_s for s in long]) / (LONG_CASES / CONCURRENCY * LONG_MS / 1000), 3
        ),
        "runner.cases_per_second": round(SHORT_CASES / median([s.wall_s for s in short])),
        "runner.concurrency": CONCURRENCY,
    }


def sample(context: Context, latency_ms: float, cases: int) -> Sample:
    """Warm-up cases of another model run first: connections and code are then in steady state."""
    settings = context.lab.new_settings()
    with endpoint(latency_ms) as url:
        apply_registry(settings, [_model("warm", url), _model("measured", url)])
        with context.lab.worker("runner", settings) as worker:
            _results(settings, _fed(settings, "warm", WARM))
            first = _fed(settings, "measured", 0)
            cpu_s = worker.cpu_s()
            feed(settings, "measured", cases)
            last_at = _results(settings, (first[0], cases))
            used_s = worker.cpu_s() - cpu_s
        page = json.loads(urllib.request.urlopen(f"{url.removesuffix('/v1')}/calls").read())
    if page["total"] != cases + WARM:
        raise RuntimeError(f"{cases + WARM} cases took {page['total']} calls")
    return Sample(used_s, last_at - page["first_at"]["measured"])


def _model(name: str, url: str) -> Model:
    limits = RateLimits(concurrent_requests=CONCURRENCY)
    at = Endpoint(url, "openai-chat")
    return Model("bench", name, "1", "local", ("chat",), endpoint=at, rate_limits=limits)


def _fed(settings: Settings, model: str, cases: int) -> tuple[list[TopicPartition], int]:
    """Where the results begin, and how many there will be."""
    results = Offsets(settings, "bench-reader", Topic.CASE_RESULTS)
    try:
        first = results.ends()
    finally:
        results.close()
    if cases:
        feed(settings, model, cases)
    return first, cases


def feed(settings: Settings, model: str, cases: int) -> None:
    """Writes cases, all of them encoded before the first is sent."""
    topic = kafka_config(settings).topic(Topic.EVALUATION_CASES)
    values = [CODEC.encode("EvaluationCase", to_record(_case(model, i))) for i in range(cases)]
    producer = Producer({"bootstrap.servers": settings.bootstrap, "linger.ms": 5})
    for i, value in enumerate(values):
        producer.produce(topic, value, f"bench/{i}".encode())
    if producer.flush(30):
        raise RuntimeError("the broker did not take all cases")


def _case(model: str, number: int) -> EvaluationCase:
    return EvaluationCase(
        run_id="bench",
        case_id=f"case-{number}",
        epoch=0,
        org_id="bench",
        model_id=model,
        model_version="1",
        capability="chat",
        suite_id="bench",
        suite_version="1",
        planned_at=datetime.now(UTC),
        messages=(PromptMessage("user", f"question {number}: {PADDING}"),),
        scorers=(ScorerUse("exact_match"),),
        fields='{"answer": "ok"}',
    )


def _results(settings: Settings, wanted: tuple[list[TopicPartition], int]) -> float:
    """When the last of the results could be read. Raises RuntimeError when one is an error."""
    first, count = wanted
    kafka = kafka_config(settings)
    consumer = Consumer(kafka.consumer(kafka.group("bench-reader"), fetch_wait_max_ms=10))
    try:
        consumer.assign(first)
        found: list[bytes] = []
        deadline = time.monotonic() + TIMEOUT_S
        while len(found) < count:
            messages: list[Message] = consumer.consume(1000, 0.02)
            found += [m.value() or b"" for m in messages if m.error() is None]
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(found)} of {count} results came in {TIMEOUT_S:g} s")
        at = time.time()
    finally:
        consumer.close()
    errors = {CODEC.decode(value, "CaseResult")["error_type"] for value in found} - {None}
    if errors or len(found) > count:
        raise RuntimeError(f"{len(found)} results of {count}, with errors {errors}")
    return at


@contextmanager
def endpoint(latency_ms: float) -> Iterator[str]:
    """The base URL of a scripted endpoint in a process of its own."""
    rule = {"answer": {"text": "ok"}, "latency": {"median_ms": latency_ms}}
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "script.json"
        script.write_text(json.dumps({"rules": [rule]}))
        command = [sys.executable, "-m", "infra", "endpoint", str(script)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
            process.wait(30)
