"""The plan and the events: real input, the same for the same seed, every sent event valid."""

from collections import Counter
from functools import cache
from typing import Any

from infra.demo.dataset import MODELS, arrivals, questions
from infra.demo.events import Clock, Run, event
from infra.demo.plan import Broken, Plan, Request, plan
from infra.demo.routing import Choice
from schemas.catalog import committed
from streams.price import price_table
from streams.reduce import Context, reduce
from tests.support.events import NOW_MS, WEEK_MS, batch, encode

RUN = Run("run", "demo", 1, Clock(NOW_MS, 3_435_948))
CHOICE = Choice("gpt-4-1106-preview", "1106", 0.5, "gpt4-for-law", "gpt4")


@cache
def whole(seed: int = 1) -> Plan:
    return plan(arrivals(), questions(), seed)


def requests(found: Plan) -> list[Request]:
    return [item for item in found.items if isinstance(item, Request)]


def events(found: Plan, choice: Choice = CHOICE) -> list[dict[str, Any]]:
    return [event(RUN, request, choice) for request in requests(found)]


def test_both_files_are_whole() -> None:
    assert len(arrivals()) == 8819
    assert sum(a.input_tokens for a in arrivals()) == 18_059_974
    found = questions()
    assert len(found) == 6554
    assert sum(q.correct["gpt-4-1106-preview"] for q in found) == 5208
    assert len({q.subject for q in found}) == 20


def test_the_same_seed_is_the_same_plan_and_another_is_not() -> None:
    again = plan(arrivals(), questions(), 1)
    assert again == whole()
    assert events(again)[:500] == events(whole())[:500]
    assert whole() != whole(seed=2)


def test_arrivals_keep_their_order_and_every_question_comes_before_one_comes_again() -> None:
    found = requests(whole())
    assert [r.at_ms for r in found] == [a.at_ms for a in arrivals()]
    asked = [(r.question.subject, r.question.case) for r in found]
    assert len(set(asked[:6554])) == 6554
    assert set(Counter(asked).values()) == {1, 2}


def test_a_limit_takes_the_first_arrivals_and_spans_them_only() -> None:
    found = plan(arrivals(), questions(), 1, 150)
    assert (found.requests, found.broken) == (150, 2)
    assert found.span_ms == arrivals()[149].at_ms
    assert [type(item) for item in found.items[59:62]] == [Request, Broken, Request]


def test_every_event_counts_and_quality_is_the_real_outcome() -> None:
    for model in MODELS:
        sent = events(whole(), Choice(model, "1", 1.0))
        context = Context(
            committed(), {"inference-events": "InferenceEvent"}, price_table(()), WEEK_MS
        )
        assert not reduce((batch(encode("InferenceEvent", sent)),), context).rejects
        for request, value in zip(requests(whole()), sent, strict=True):
            expected = float(request.question.correct[model])
            assert value["quality"] == (None if value["error_type"] else expected)


def test_a_call_takes_longer_with_more_tokens_and_ends_at_the_deadline() -> None:
    sent = events(whole())
    slow = [e for e in sent if e["error_type"]]
    assert 0 < len(slow) < len(sent) // 50
    assert {e["latency_ms"] for e in slow} == {15_000.0}
    long = [e["latency_ms"] for e in sent if e["input_tokens"] > 4000]
    short = [e["latency_ms"] for e in sent if e["input_tokens"] < 500]
    assert sum(long) / len(long) > sum(short) / len(short)


def test_event_time_keeps_the_pace_of_the_trace_and_ends_at_the_clock() -> None:
    sent = events(whole())
    assert sent[-1]["occurred_at"] == NOW_MS
    assert sent[-1]["occurred_at"] - sent[0]["occurred_at"] == arrivals()[-1].at_ms
