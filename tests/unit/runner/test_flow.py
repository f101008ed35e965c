"""How many calls are made, how fast, and when none are."""

import random

import pytest

from agents.evaluation.runner.backoff import Backoff
from agents.evaluation.runner.breaker import FAILURES, Breaker
from agents.evaluation.runner.concurrency import Concurrency
from agents.evaluation.runner.execution import LATER
from agents.evaluation.runner.failures import ERRORS, CallFailed, ErrorType
from agents.evaluation.runner.lane import lane
from agents.evaluation.runner.pace import Bucket


@pytest.mark.parametrize("kind", ["connection", "overloaded", "rate_limited", "server_error"])
def test_an_endpoint_that_is_down_for_a_minute_costs_no_case(kind: ErrorType) -> None:
    """The waits between executions alone, at their shortest, are longer."""
    waits = range(1, ERRORS[kind].executions)
    shortest_s = [min(LATER.longest_s, LATER.first_s * 2 ** (n - 1)) * LATER.certain for n in waits]
    assert sum(shortest_s) > 60
    rng = random.Random(1)
    assert all(LATER.wait_s(n, rng) >= least for n, least in zip(waits, shortest_s, strict=True))


def test_concurrency_grows_by_one_a_round_and_only_when_it_is_used() -> None:
    found = Concurrency(limit=10.0, ceiling=100)
    for _ in range(10):
        found.succeeded(running=3)
    assert found.limit == 10
    for _ in range(11):
        found.succeeded(running=found.places)
    assert found.places == 11


def test_concurrency_halves_once_for_all_calls_that_were_under_way() -> None:
    found = Concurrency(limit=64.0)
    found.slow_down(began_s=1.0, now_s=2.0)
    found.slow_down(began_s=1.5, now_s=2.1)
    assert found.places == 32
    found.slow_down(began_s=2.5, now_s=3.0)
    assert found.places == 16


def test_concurrency_stays_within_its_bounds() -> None:
    found = Concurrency(limit=2.0, ceiling=3.0)
    for _ in range(100):
        found.succeeded(running=found.places)
    assert found.places == 3
    for i in range(10):
        found.slow_down(i, i)
    assert found.places == 1


@pytest.mark.parametrize(
    ("error_type", "places"),
    [
        ("rate_limited", 4),
        ("overloaded", 4),
        ("timeout", 4),
        ("server_error", 8),
        ("connection", 8),
    ],
)
async def test_what_asks_for_less_halves_the_calls_at_a_time(
    error_type: ErrorType, places: int
) -> None:
    way = lane(None, Breaker(random.Random(1)), lambda: 5.0, 64)
    await way.enter(1)
    way.leave(began_s=1.0, failure=CallFailed(error_type, "no"))
    assert way.concurrency.places == places
    way.close()


def test_a_bucket_gives_its_rate_and_no_more() -> None:
    bucket, now_s, taken = Bucket(per_minute=60), 1000.0, 0
    for _ in range(600):
        now_s += 0.1
        while bucket.wait_s(now_s) == 0:
            bucket.take(1, now_s)
            taken += 1
    assert 60 <= taken <= 66


def test_a_bucket_in_debt_waits_it_off() -> None:
    bucket = Bucket(per_minute=60)
    assert bucket.wait_s(10.0) == 0
    bucket.take(64, 10.0)
    assert bucket.wait_s(10.0) == pytest.approx(60)


def test_a_circuit_opens_after_failures_in_a_row_only() -> None:
    breaker = Breaker(random.Random(1))
    for _ in range(FAILURES - 1):
        breaker.failed(0.0)
    breaker.succeeded()
    for _ in range(FAILURES - 1):
        breaker.failed(0.0)
    assert breaker.wait_s(0.0) == 0
    breaker.failed(0.0)
    wait_s = breaker.wait_s(0.0)
    assert wait_s is not None
    assert wait_s > 0


def test_an_open_circuit_lets_one_probe_through_and_its_success_closes_it() -> None:
    breaker = Breaker(random.Random(1))
    for _ in range(FAILURES):
        breaker.failed(0.0)
    assert breaker.wait_s(100.0) == 0
    breaker.calling()
    assert breaker.wait_s(100.0) is None, "the others wait for the probe"
    breaker.succeeded()
    assert breaker.wait_s(100.0) == 0
    assert breaker.down_since_s is None


def test_a_failed_probe_opens_it_for_longer() -> None:
    breaker = Breaker(random.Random(1))
    for _ in range(FAILURES):
        breaker.failed(0.0)
    waits = []
    now_s = 0.0
    for _ in range(6):
        now_s += 1000
        breaker.calling()
        breaker.failed(now_s)
        waits.append(breaker.wait_s(now_s) or 0)
    assert waits[0] <= 4
    assert 15 <= waits[-1] <= 30
    assert breaker.down_since_s == 0.0


def test_backoff_is_full_jitter_within_its_bounds() -> None:
    rng, backoff = random.Random(1), Backoff(1.0, 8.0)
    waits = [[backoff.wait_s(n, rng) for _ in range(500)] for n in (1, 3, 50)]
    assert [round(max(some)) for some in waits] == [1, 4, 8]
    assert all(min(some) < 0.1 for some in waits)
    assert backoff.wait_s(2, random.Random(3)) == backoff.wait_s(2, random.Random(3))
    certain = Backoff(1.0, 8.0, certain=0.5)
    assert min(certain.wait_s(3, rng) for _ in range(500)) >= 2
