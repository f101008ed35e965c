"""Partials against a plain sum over records; and what must not change them."""

import random
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.catalog import committed
from schemas.entities import Model, Price
from schemas.evaluations import UNASKED
from streams import sketch
from streams.emit import Envelope
from streams.emit import partials as emitted
from streams.partials import KEY, PANE_MS, from_record, merge, wide_to_tidy
from streams.price import price_table
from streams.reduce import Context, Reduced, reduce
from streams.types import OffsetSpan
from tests.support.events import (
    CODEC,
    NOW_MS,
    WEEK_MS,
    batch,
    case_result,
    encode,
    feedback,
    inference,
    score,
)

PRICES = price_table(
    [
        Model(
            "acme",
            "small",
            "1",
            "us",
            ("chat",),
            "active",
            (
                Price(datetime(2020, 1, 1, tzinfo=UTC), 0.15, 0.6, 0.075),
                Price(datetime.fromtimestamp(NOW_MS / 1000, UTC), 0.3, 1.2),
            ),
        )
    ]
)
RECORDS = {
    "inference-events": "InferenceEvent",
    "feedback-events": "FeedbackEvent",
    "case-results": "CaseResult",
}
CONTEXT = Context(committed(), RECORDS, PRICES, WEEK_MS)
names = st.sampled_from(["small", "large"])
maybe = st.none() | st.floats(0, 1)

event = st.fixed_dictionaries(
    {
        "occurred_at": st.integers(NOW_MS - 3 * PANE_MS, NOW_MS + PANE_MS),
        "org_id": st.sampled_from(["acme", "bolt", "äö" * 20]),
        "model_id": names,
        "capability": st.sampled_from(["chat", "math/algebra", "c" * 100]),
        "ab_test_id": st.none() | st.just("t-1"),
        "arm": st.none() | st.sampled_from(["a", "b"]),
        "unit_id": st.text(min_size=1, max_size=60),
        "latency_ms": st.floats(0, 1e6),
        "ttft_ms": st.none() | st.floats(0, 1e6),
        "input_tokens": st.integers(0, 100_000),
        "output_tokens": st.integers(0, 100_000),
        "cached_input_tokens": st.integers(0, 50_000),
        "cost_usd": st.none() | st.floats(0, 1000),
        "quality": maybe,
        "error_type": st.none() | st.just("timeout"),
    }
).map(lambda change: inference(**change))


def partials(values: list[dict[str, Any]]) -> pl.DataFrame:
    result = reduce([batch(encode("InferenceEvent", values))], CONTEXT)
    assert not result.rejects
    return merge([wide_to_tidy(wide) for wide in result.wide])


@given(st.lists(event, min_size=1, max_size=40))
@settings(deadline=None)
def test_partials_are_the_sums_of_their_events(values: list[dict[str, Any]]) -> None:
    counts: Counter[tuple[Any, ...]] = Counter()
    totals: Counter[tuple[Any, ...]] = Counter()
    bins: dict[tuple[Any, ...], Counter[int]] = {}
    for v in values:
        for metric in ("latency_ms", "ttft_ms", "input_tokens", "quality"):
            if v[metric] is not None:
                key = expected_key(v, metric)
                counts[key] += 1
                totals[key] += v[metric]
                found = int(sketch.keys(np.array([v[metric]], np.float64))[0])
                bins.setdefault(key, Counter())[found] += 1
        counts[expected_key(v, "error")] += 1
        totals[expected_key(v, "error")] += int(v["error_type"] is not None)

    rows = partials(values)

    for row in rows.iter_rows(named=True):
        key = tuple(row[name] for name in KEY)
        if row["metric"] in {"latency_ms", "ttft_ms", "input_tokens", "quality", "error"}:
            assert row["n"] == counts.pop(key)
            assert np.isclose(row["total"], totals.pop(key), rtol=1e-12)
            if row["metric"] != "error":
                assert dict(zip(row["bins"], row["counts"], strict=True)) == bins.pop(key)
            assert row["minimum"] <= row["total"] / row["n"] * (1 + 1e-9) + 1e-300
            assert row["maximum"] >= row["total"] / row["n"] * (1 - 1e-9)
    assert not counts
    assert not bins


def expected_key(v: dict[str, Any], metric: str) -> tuple[Any, ...]:
    pane = datetime.fromtimestamp(v["occurred_at"] // PANE_MS * PANE_MS / 1000, UTC)
    test, arm = v["ab_test_id"] or "", v["arm"] or ""
    dimensions = (v["org_id"], v["capability"], v["model_id"], v["model_version"], test, arm)
    return (*dimensions, "production", metric, pane)


@given(st.lists(event, min_size=2, max_size=30), st.integers(0, 30), st.randoms())
@settings(deadline=None)
def test_splitting_and_shuffling_change_nothing(
    values: list[dict[str, Any]], cut: int, rng: random.Random
) -> None:
    whole = partials(values)
    shuffled = rng.sample(values, len(values))
    parts = [partials(part) for part in (shuffled[:cut], shuffled[cut:]) if part]

    split = merge(parts)

    exact = [*KEY, "n", "total_nanos", "minimum", "maximum", "bins", "counts"]
    assert split.select(exact).equals(whole.select(exact))
    for name in ("total", "total_sq"):
        assert np.allclose(split[name].to_numpy(), whole[name].to_numpy(), rtol=1e-12)


@given(st.lists(event, max_size=20), st.lists(event, max_size=20), st.lists(event, max_size=20))
@settings(deadline=None, max_examples=25)
def test_merge_is_associative_and_commutative(
    x: list[dict[str, Any]], y: list[dict[str, Any]], z: list[dict[str, Any]]
) -> None:
    a, b, c = (partials(values) if values else merge([]) for values in (x, y, z))
    exact = [*KEY, "n", "total_nanos", "minimum", "maximum", "bins", "counts"]

    left = merge([merge([a, b]), c]).select(exact)

    assert left.equals(merge([a, merge([c, b])]).select(exact))
    assert merge([a]).equals(merge([merge([]), a]))


def test_money_is_exact_and_priced_at_event_time() -> None:
    before, after = NOW_MS - 1, NOW_MS
    values = [
        inference(occurred_at=before, input_tokens=1000, output_tokens=7, cached_input_tokens=400),
        inference(occurred_at=after, input_tokens=1000, output_tokens=7, cached_input_tokens=400),
        inference(occurred_at=after, cost_usd=0.000000001),
        inference(occurred_at=after, model_id="unpriced"),
    ]

    rows = partials(values).filter(pl.col("metric") == "cost_usd")

    # 600 * 150 + 7 * 600 + 400 * 75 nano-dollars, then 1000 * 300 + 7 * 1200, then one.
    assert rows.sort("pane")["total_nanos"].to_list() == [124_200, 308_401]
    assert rows["n"].sum() == 3
    assert rows["model_id"].unique().to_list() == ["small"]


def test_a_million_small_costs_add_up_to_the_last_nano_dollar() -> None:
    values = encode("InferenceEvent", [inference(cost_usd=0.1)] * 1000)

    result = reduce([batch(values)], CONTEXT)

    assert result.wide[0]["cost_usd.total_nanos"].to_list() == [100_000_000_000]


def test_feedback_becomes_a_metric_of_its_own_name() -> None:
    values = encode("FeedbackEvent", [feedback(value=v) for v in (1.0, 0.0, -2.5)])

    result = reduce([batch(values, "feedback-events")], CONTEXT)

    (row,) = merge(result.tidy).to_dicts()
    assert (row["metric"], row["source"], row["n"], row["total"]) == (
        "thumbs_up",
        "production",
        3,
        -1.5,
    )
    assert (row["minimum"], row["maximum"], row["total_sq"]) == (-2.5, 1.0, 7.25)
    assert row["bins"][1] == 0
    assert row["counts"] == [1, 1, 1]


def test_evaluation_results_count_calls_and_scores() -> None:
    scores: list[dict[str, Any]] = [
        {"metric": "f1", "value": 0.5, "label": None, "explanation": None},
        {"metric": "judge", "value": None, "label": None, "explanation": "no answer"},
    ]
    full = [{**s, "scorer": "s", "scorer_version": "1"} for s in scores]
    values = encode(
        "CaseResult", [case_result(scores=full), case_result(scores=[], latency_ms=None)]
    )

    result = reduce([batch(values, "case-results")], CONTEXT)

    assert not result.rejects
    rows = {
        r["metric"]: r for r in merge([*map(wide_to_tidy, result.wide), *result.tidy]).to_dicts()
    }
    assert {r["source"] for r in rows.values()} == {"evaluation"}
    assert rows["f1"]["n"] == 1
    assert rows["f1"]["total"] == 0.5
    assert "judge" not in rows
    assert rows["latency_ms"]["n"] == 1
    assert rows["error"]["n"] == 2
    assert rows["f1"]["capability"] == "chat"


def test_a_case_that_no_model_was_asked_is_an_event_and_no_metric() -> None:
    scored = [{**score(), "metric": "f1", "value": 0.5}]
    unasked = [
        case_result(error_type=kind, passed=None, scores=scored, score=0.5) for kind in UNASKED
    ]
    asked = [case_result(error_type="timeout", scores=[]), case_result(scores=scored)]

    def reduced(results: list[dict[str, Any]]) -> Reduced:
        return reduce([batch(encode("CaseResult", results), "case-results")], CONTEXT)

    both, alone, none = reduced([*unasked, *asked]), reduced(asked), reduced(unasked)
    assert (both.events, both.rejects) == ({"case-results": len(UNASKED) + 2}, [])
    tidied = [merge([*map(wide_to_tidy, r.wide), *r.tidy]) for r in (both, alone)]
    assert tidied[0].equals(tidied[1])
    (errors,) = tidied[0].filter(pl.col("metric") == "error").to_dicts()
    assert (errors["n"], errors["total"]) == (2, 1)
    assert (none.wide, none.tidy, none.events) == ([], [], {"case-results": len(UNASKED)})


def test_an_answer_that_was_scored_again_is_an_event_and_counts_in_no_metric() -> None:
    again = case_result(rescored=True, score=0.5, latency_ms=None, input_tokens=0, cost_usd=0.0)
    result = reduce([batch(encode("CaseResult", [again]), "case-results")], CONTEXT)
    assert (result.wide, result.tidy, result.events) == ([], [], {"case-results": 1})
    values = encode("CaseResult", [again, case_result(score=0.25, judge_cost_usd=3.0)])
    result = reduce([batch(values, "case-results")], CONTEXT)
    tidy = merge([*map(wide_to_tidy, result.wide), *result.tidy])
    assert set(tidy["n"]) == {1}
    # What judges cost is none of the model's cost: the registry's price of its tokens is.
    assert max(tidy.filter(pl.col("metric") == "cost_usd")["total"].to_list(), default=0.0) < 1


def test_the_quality_of_an_evaluated_case_is_its_score_when_that_is_a_share() -> None:
    named = {**score(), "metric": "quality", "value": 0.9}
    results = [
        case_result(score=0.25, scores=[named]),
        case_result(score=40.0, scores=[]),
        case_result(scores=[named]),
    ]
    result = reduce([batch(encode("CaseResult", results), "case-results")], CONTEXT)
    tidy = merge([*map(wide_to_tidy, result.wide), *result.tidy])
    (row,) = tidy.filter(pl.col("metric") == "quality").to_dicts()
    assert (row["n"], row["total"]) == (2, 0.25 + 0.9)


def test_partials_survive_the_wire() -> None:
    values = [inference(org_id=f"org-{i % 7}", latency_ms=float(i)) for i in range(100)]
    result = reduce([batch(encode("InferenceEvent", values))], CONTEXT)
    tidy = reduce([batch(encode("FeedbackEvent", [feedback()]), "feedback-events")], CONTEXT)
    span = OffsetSpan("inference-events", 0, 0, 99)
    envelope = Envelope("w", datetime.fromtimestamp(NOW_MS / 1000, UTC), (span,))

    messages = list(emitted(result.wide, tidy.tidy, envelope, 4, CODEC))

    back = [from_record(CODEC.decode(m.value, "MetricPartials")) for m in messages]
    assert merge([p.frame for p in back]).equals(
        merge([*map(wide_to_tidy, result.wide), *tidy.tidy])
    )
    assert sum(p.events for p in back) == 101
    assert {p.spans for p in back} == {(span,)}
    targets: dict[str, set[int | None]] = {}
    for message, part in zip(messages, back, strict=True):
        for org in part.frame["org_id"].unique():
            targets.setdefault(org, set()).add(message.partition)
    assert all(len(found) == 1 for found in targets.values())


def test_a_metric_that_one_part_of_a_batch_lacks_does_not_stop_it() -> None:
    """Calls with a time to first token beside evaluation results without any."""
    calls = batch(encode("InferenceEvent", [inference(ttft_ms=30.0)]))
    cases = batch(
        encode("CaseResult", [case_result(ttft_ms=None, latency_ms=None)]), "case-results"
    )
    reduced = reduce((calls, cases), CONTEXT)
    sent = emitted(reduced.wide, reduced.tidy, Envelope("w", datetime.now(UTC), ()), 1, CODEC)
    (message,) = sent
    frame = from_record(CODEC.decode(message.value, "MetricPartials")).frame
    assert frame.filter(metric="ttft_ms")["total"].to_list() == [30.0]
    assert all(part.schema == reduced.wide[0].schema for part in reduced.wide)
