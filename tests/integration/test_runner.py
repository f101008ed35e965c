"""The runner on a real broker and a scripted endpoint: each case exactly one result."""

import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Producer

from agents.errors import AgentsStopped
from agents.evaluation.runner import desk, execution
from agents.evaluation.runner.backoff import Backoff
from infra.scripted_endpoint.script import Fault, Latency, Rule, Script
from infra.scripted_endpoint.serve import Running, serving
from infra.settings import Settings
from schemas.evaluations import RunState
from schemas.models import RateLimits
from schemas.topics import Topic
from tests.support import fuse
from tests.support.evaluation import Bench, case, model
from tests.support.servers import Kafka, wait_until

pytestmark = pytest.mark.integration

STEPS = [
    pytest.param("begin_transaction", "after", marks=pytest.mark.chaos),
    pytest.param("produce", "after", marks=pytest.mark.chaos),
    pytest.param("send_offsets_to_transaction", "before", marks=pytest.mark.chaos),
    ("send_offsets_to_transaction", "after"),
    pytest.param("commit_transaction", "before", marks=pytest.mark.chaos),
    ("commit_transaction", "after"),
]


@pytest.fixture
def bench(kafka: Kafka, settings: Settings) -> Bench:
    return Bench(kafka, settings)


@pytest.fixture
def endpoint() -> Iterator[Running]:
    """Answers "ok" after 20 ms."""
    with serving(Script(rules=(Rule(latency=Latency(20)),))) as running:
        yield running


def calls(endpoint: Running) -> int:
    return sum(endpoint.endpoint.calls.values())


def test_each_case_gets_one_scored_result(bench: Bench, endpoint: Running) -> None:
    bench.register(model(endpoint.base_url))
    bench.feed([case(i, epoch=i % 2, tags=("t",), split="test") for i in range(200)])
    bench.kafka.produce(bench.topic(Topic.EVALUATION_CASES), [b"junk", None])
    with bench.running():
        results = bench.wait_results(200)
    one = results["case-7"]
    assert (one["passed"], one["score"], one["output"]) == (True, 1.0, "ok")
    assert (one["epoch"], one["tags"], one["split"], one["attempts"]) == (1, ["t"], "test", 1)
    assert one["latency_ms"] >= 20
    assert 0 < one["ttft_ms"] <= one["latency_ms"]
    assert one["input_tokens"] > 0
    assert one["cost_usd"] is None
    assert calls(endpoint) == 200


def test_a_slow_case_holds_up_no_other(bench: Bench) -> None:
    rules = (
        Rule(prompt="question 0$", latency=Latency(3_600_000, first_share=1.0)),
        Rule(latency=Latency(5)),
    )
    with serving(Script(rules=rules)) as endpoint:
        bench.register(model(endpoint.base_url))
        bench.feed([case(i) for i in range(50)])
        with bench.running(grace_s=0.1):
            bench.wait_results(49)
        with bench.running():
            time.sleep(2)
            assert len(bench.results()) == 49, "what has ended is not executed again"
            # The slow one again in each run, and once more when the first run joined late.
            assert calls(endpoint) <= 52


def test_what_keeps_failing_goes_around_by_the_retry_topic(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "LATER", Backoff(0.3, 0.3))
    rule = Rule(faults=(Fault("server_error", times=5),))
    with serving(Script(rules=(rule,))) as endpoint:
        bench.register(model(endpoint.base_url))
        bench.feed([case(0)])
        with bench.running():
            results = bench.wait_results(1)
        assert calls(endpoint) == 6
    assert (results["case-0"]["error_type"], results["case-0"]["attempts"]) == (None, 6)
    assert len(list(bench.kafka.read_all(bench.topic(Topic.EVALUATION_RETRIES)))) == 1


def test_a_cancelled_run_ends_within_seconds_its_calls_too(bench: Bench) -> None:
    states: dict[str, RunState] = {"run-1": "running"}
    slow = Script(rules=(Rule(latency=Latency(3_600_000, first_share=1.0)),))
    with serving(slow) as endpoint:
        bench.register(model(endpoint.base_url))
        bench.feed([case(i) for i in range(30)])
        with bench.running(states=states):
            wait_until(lambda: endpoint.endpoint.at_once > 0)
            states["run-1"] = "cancelling"
            results = bench.wait_results(30)
            wait_until(lambda: endpoint.endpoint.at_once == 0)
    assert {(r["error_type"], r["passed"]) for r in results.values()} == {("cancelled", None)}


def test_a_paused_run_waits_and_holds_no_offset(
    bench: Bench, endpoint: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "PARK_S", 0.5)
    monkeypatch.setattr(desk, "PAUSED_S", 0.2)
    states: dict[str, RunState] = {"run-1": "paused"}
    bench.register(model(endpoint.base_url))
    bench.feed([case(i) for i in range(10)])
    retries = bench.topic(Topic.EVALUATION_RETRIES)
    with bench.running(states=states):
        wait_until(lambda: len(list(bench.kafka.read_all(retries))) >= 10)
        assert calls(endpoint) == 0
        states["run-1"] = "running"
        results = bench.wait_results(10)
    assert {r["attempts"] for r in results.values()} == {1}


def test_a_pause_reaches_the_cases_that_wait_for_their_turn(bench: Bench) -> None:
    """Many are at hand when a model takes few at a time: none of them is asked any more."""
    states: dict[str, RunState] = {"run-1": "running"}
    with serving(Script(rules=(Rule(latency=Latency(300)),))) as endpoint:
        bench.register(model(endpoint.base_url, rate_limits=RateLimits(None, None, 2)))
        bench.feed([case(i) for i in range(30)])
        with bench.running(states=states):
            wait_until(lambda: calls(endpoint) >= 2)
            states["run-1"] = "paused"
            time.sleep(desk.LOOK_S + 0.6)
            asked = calls(endpoint)
            time.sleep(1)
            assert calls(endpoint) == asked < 15
            assert endpoint.endpoint.at_once == 0, "calls under way came to their end"
            states["run-1"] = "running"
            results = bench.wait_results(30)
        assert calls(endpoint) == 30, "nobody was asked twice"
    assert {r["error_type"] for r in results.values()} == {None}


def test_a_model_deleted_during_the_run_ends_the_rest(bench: Bench) -> None:
    slow = Script(rules=(Rule(latency=Latency(200)),))
    with serving(slow) as endpoint:
        here = model(endpoint.base_url, rate_limits=RateLimits(None, None, 2))
        bench.register(here)
        bench.feed([case(i) for i in range(40)])
        with bench.running():
            bench.wait_for(2)
            bench.register(here, deleted=True)
            time.sleep(1)
            bench.feed([case(i) for i in range(40, 50)])
            results = bench.wait_results(50)
    kinds = {r["error_type"] for r in results.values()}
    assert kinds == {None, "model_deleted"}


@pytest.mark.parametrize(("method", "when"), STEPS)
def test_a_failure_at_any_step_of_a_transaction_neither_loses_nor_repeats(
    bench: Bench, endpoint: Running, method: str, when: fuse.When
) -> None:
    """The process is killed there (as far as a thread can be); its successor goes on."""
    bench.register(model(endpoint.base_url))
    bench.feed([case(i) for i in range(60)])

    def client(config: dict[str, Any]) -> Any:
        nth = 20 if method == "produce" else 1
        return fuse.Fused(Producer(config), method, nth, when, blow)

    def blow() -> None:
        raise AgentsStopped("the fuse")

    with (
        pytest.raises(AgentsStopped, match="the fuse"),
        bench.running(client=client, grace_s=0) as runner,
    ):
        wait_until(lambda: runner._feed is not None and runner._feed.failure is not None)
    with bench.running():
        bench.wait_results(60)
    assert calls(endpoint) <= 120


def test_a_second_runner_takes_half_and_no_call_is_made_twice(bench: Bench) -> None:
    script = Script(rules=(Rule(latency=Latency(100)),))
    with serving(script) as endpoint:
        bench.register(model(endpoint.base_url, rate_limits=RateLimits(None, None, 10)))
        bench.feed([case(i) for i in range(600)])
        with bench.running("r1"):
            bench.wait_for(21)
            with bench.running("r2"):
                bench.wait_results(600)
        assert calls(endpoint) == 600


@pytest.mark.chaos
def test_a_runner_that_slept_through_its_session_commits_nothing(bench: Bench) -> None:
    script = Script(rules=(Rule(latency=Latency(100)),))
    with serving(script) as endpoint:
        bench.register(model(endpoint.base_url, rate_limits=RateLimits(None, None, 4)))
        bench.feed([case(i) for i in range(200)])
        with bench.process("sleeper") as sleeper:
            bench.wait_for(11)
            sleeper.send_signal(signal.SIGSTOP)
            with bench.running("r2"):
                bench.wait_for(61)
                sleeper.send_signal(signal.SIGCONT)
                bench.wait_results(200, 120)


def test_a_killed_runner_repeats_at_most_what_was_in_flight(bench: Bench) -> None:
    limit = 5
    with serving(Script(rules=(Rule(latency=Latency(60)),))) as endpoint:
        bench.register(model(endpoint.base_url, rate_limits=RateLimits(None, None, limit)))
        bench.feed([case(i) for i in range(120)])
        with bench.process() as first:
            wait_until(lambda: calls(endpoint) > 40, 120)
            first.kill()
            first.wait(20)
        with bench.process():
            bench.wait_results(120, 120)
        # One round of calls, and those answered so lately that they were not kept.
        assert calls(endpoint) <= 120 + 2 * limit


@pytest.mark.chaos
@pytest.mark.timeout(400)
def test_a_minute_without_the_endpoint_costs_no_case(bench: Bench) -> None:
    """With the waits as they are."""
    with serving(Script()) as first:
        port = first.port
    bench.register(model(f"http://127.0.0.1:{port}/v1"))
    bench.feed([case(i) for i in range(100)])
    with bench.running():
        threading.Event().wait(60)
        assert bench.results() == []
        with serving(Script(), port) as endpoint:
            results = bench.wait_results(100, 240)
            assert calls(endpoint) == 100
    assert {r["error_type"] for r in results.values()} == {None}


def test_it_goes_on_when_the_endpoint_comes_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "LATER", Backoff(1.0, 2.0))
    with serving(Script()) as first:
        port = first.port
    bench.register(model(f"http://127.0.0.1:{port}/v1"))
    bench.feed([case(i) for i in range(100)])
    with bench.running():
        threading.Event().wait(4)
        assert bench.results() == []
        with serving(Script(), port) as endpoint:
            results = bench.wait_results(100, 120)
            assert calls(endpoint) == 100
    assert {r["error_type"] for r in results.values()} == {None}
