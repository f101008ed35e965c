"""kill -9 of the runner and the broker during a run: one result a case, and no call too many."""

import json
import random
import time
from pathlib import Path

import pytest

from infra.scripted_endpoint.script import Fault, Latency, Rule, Script
from infra.scripted_endpoint.serve import serving
from infra.settings import Settings
from infra.topics import ensure
from schemas.entities import RateLimits
from tests.support.evaluation import Bench, case, end, model, start
from tests.support.processes import own_server
from tests.support.servers import Kafka, wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]

RESULT = Path(__file__).parents[2] / "bench/results/chaos_runner.json"
CASES = 2_000
CONCURRENCY = 40
FRESH_S = 0.05
"""An answer that is younger counts as in flight: it may not have been kept yet."""
SCRIPT = Script(
    rules=(
        Rule(
            latency=Latency(150, 0.5),
            faults=(Fault("server_error", 0.05), Fault("rate_limit", 0.02, seconds=0.1)),
        ),
    )
)


def test_kills_repeat_at_most_what_was_in_flight(tmp_path: Path) -> None:
    rng = random.Random(7)
    with own_server("kafka", tmp_path) as broker, serving(SCRIPT) as endpoint:
        settings = Settings(kafka_bootstrap=broker.address, data_dir=tmp_path / "data")
        settings.data_dir.mkdir()
        ensure(settings)
        bench = Bench(Kafka(broker.address), settings)
        limits = RateLimits(concurrent_requests=CONCURRENCY)
        bench.register(model(endpoint.base_url, rate_limits=limits))
        bench.feed([case(i) for i in range(CASES)])
        counts = endpoint.endpoint
        kills: list[int] = []
        process = start(settings)
        try:
            while sum(counts.answered.values()) < CASES:
                before = sum(counts.calls.values())
                time.sleep(rng.uniform(0.3, 1.5))
                if sum(counts.calls.values()) == before or len(kills) >= 12:
                    continue  # it starts still, or has ended
                if len(kills) % 4 == 3:
                    broker.kill()
                    broker.start()
                answered = sum(counts.answered.values())
                time.sleep(FRESH_S)
                kills.append(counts.at_once + sum(counts.answered.values()) - answered)
                process.kill()
                process.wait(20)
                process = start(settings)
            results = bench.wait_results(CASES, 300)
        finally:
            end(process)
    good = counts.answered[200]
    calls = sum(counts.calls.values())
    retries = counts.answered[500] + counts.answered[429]
    figures = {"cases": CASES, "calls": calls, "retries": retries, "in_flight_at_kills": kills}
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps({**figures, "results": len(results)}) + "\n")
    assert len(kills) >= 5
    assert {r["error_type"] for r in results.values()} == {None}
    assert calls <= CASES + retries + sum(kills), (calls, retries, kills)
    assert good <= CASES + sum(kills)
    wait_until(lambda: counts.at_once == 0, 30)
