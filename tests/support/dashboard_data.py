"""Two hours of two organisations, through the real codec, validation, reduction and sink rows."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from schemas.catalog import committed
from schemas.records import (
    AbVerdict,
    Alert,
    ArmBelief,
    ArmCount,
    Candidate,
    Comparison,
    SelectionUpdate,
)
from schemas.topics import Topic
from schemas.wire import Codec
from sinks.clickhouse import ClickHouse
from sinks.rows import Messages
from sinks.tables import TABLES
from streams.emit import Envelope, partials
from streams.price import price_table
from streams.reduce import Context, reduce
from streams.types import Coordinates, RawBatch
from tests.support.events import (
    WEEK_MS,
    case_result,
    encode,
    feedback,
    inference,
    never_skipped,
    score,
)

CODEC = Codec(committed())
RECORDS = {
    "inference-events": "InferenceEvent",
    "feedback-events": "FeedbackEvent",
    "case-results": "CaseResult",
}
CALLS = 1500
HOURS = 2


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was stored. `start` and `end` are whole hours; everything lies between them."""

    start: datetime
    end: datetime
    events: Mapping[str, Sequence[Mapping[str, Any]]]
    """InferenceEvents by organisation."""


def load(clickhouse: ClickHouse, now: datetime) -> Loaded:
    """Fills every table that dashboards read. Ends at the last whole hour before `now`."""
    end = now.replace(minute=0, second=0, microsecond=0)
    start = end - timedelta(hours=HOURS)
    events = {org: _events(org, start, seed) for seed, org in enumerate(("acme", "other"))}
    hot = {
        "inference-events": [e for org in events.values() for e in org],
        "feedback-events": [_feedback(e) for org in events.values() for e in org[::10]],
        "case-results": [_case(org, end, i) for org in events for i in range(40)],
    }
    raws = tuple(
        _raw(topic, encode(RECORDS[topic], values), end, i)
        for i, (topic, values) in enumerate(hot.items())
    )
    context = Context(committed(), RECORDS, price_table(()), WEEK_MS)
    reduced = reduce(raws, context)
    assert not reduced.rejects, reduced.rejects[0]
    messages = partials(reduced.wide, reduced.tidy, Envelope("test", end, ()), 4, CODEC)
    for raw in raws:
        _store(clickhouse, Topic(raw.topic), raw)
    _store(
        clickhouse, Topic.METRIC_PARTIALS, _raw("metric-partials", [m.value for m in messages], end)
    )
    for topic, record, values in (
        (Topic.AB_VERDICTS, "AbVerdict", [v for o in events for v in _verdicts(o, start, end)]),
        (
            Topic.SELECTION_UPDATES,
            "SelectionUpdate",
            [u for org in events for u in _updates(org, start, end)],
        ),
        (Topic.ALERTS, "Alert", [_alert(org, end) for org in events] * 2),
        (Topic.DEAD_LETTERS, "DeadLetter", [_dead_letter(end, i) for i in range(30)]),
    ):
        _store(clickhouse, topic, _raw(topic.value, encode(record, values), end))
    return Loaded(start, end, events)


def _store(clickhouse: ClickHouse, topic: Topic, raw: RawBatch) -> None:
    offsets = list(range(len(raw.values)))
    batch = Messages(raw, 0, offsets, [b"key"] * len(offsets), committed(), WEEK_MS, never_skipped)
    spec = TABLES[topic]
    clickhouse.insert(spec.table, spec.rows(batch), f"{topic}/0")


def _raw(topic: str, values: Sequence[bytes], at: datetime, partition: int = 0) -> RawBatch:
    at_ms = int(at.timestamp() * 1000)
    return RawBatch(topic, values, lambda i: Coordinates(partition, i, at_ms, b"k"), at_ms, at_ms)


def _events(org: str, start: datetime, seed: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    start_ms = int(start.timestamp() * 1000)
    times = np.sort(rng.integers(0, HOURS * 3_600_000, CALLS)) + start_ms
    events = []
    for i, at in enumerate(times.tolist()):
        big = bool(rng.random() < 0.4)
        arm = "treatment" if big else "control"
        failed = bool(rng.random() < 0.03)
        events.append(
            inference(
                event_id=f"{org}-{i}",
                occurred_at=at,
                org_id=org,
                model_id=f"{org}-{'big' if big else 'small'}",
                model_version="2" if at - start_ms > 3_600_000 else "1",
                capability=f"{org}-{'chat' if rng.random() < 0.7 else 'code'}",
                ab_test_id=f"{org}-test",
                arm=arm,
                unit_id=f"user-{int(rng.integers(200))}",
                selection_id=f"{org}-s1" if rng.random() < 0.8 else None,
                latency_ms=float(rng.lognormal(6 if big else 5, 0.5)),
                ttft_ms=float(rng.lognormal(4, 0.5)) if rng.random() < 0.5 else None,
                input_tokens=int(rng.integers(10, 900)),
                output_tokens=int(rng.integers(1, 400)),
                cost_usd=None if rng.random() < 0.1 else round(float(rng.random()) / 100, 6),
                quality=None if failed or rng.random() < 0.3 else float(rng.random()),
                error_type="timeout" if failed else None,
            )
        )
    return events


def _feedback(event: Mapping[str, Any]) -> dict[str, Any]:
    same = ("occurred_at", "org_id", "model_id", "model_version", "capability", "unit_id")
    about = {name: event[name] for name in (*same, "ab_test_id", "arm")}
    at = event["occurred_at"] + 1000
    ids = {"event_id": f"f-{event['event_id']}", "inference_id": event["event_id"]}
    return feedback(**about, **ids, observed_at=at, value=float(len(event["event_id"]) % 2))


def _case(org: str, end: datetime, i: int) -> dict[str, Any]:
    return case_result(
        run_id=f"{org}-run",
        case_id=f"c{i}",
        org_id=org,
        model_id=f"{org}-small",
        capability=f"{org}-chat",
        occurred_at=int(end.timestamp() * 1000) - 1000 * (i + 1),
        scores=[score(value=float(i % 2))],
    )


def _verdicts(org: str, start: datetime, end: datetime) -> list[dict[str, Any]]:
    """A verdict every ten minutes; two of them have no estimate, the last decides."""
    instants = [start + timedelta(minutes=m) for m in range(10, 60 * HOURS, 10)]
    found = []
    for i, at in enumerate(instants, 1):
        last = at == instants[-1]
        half = 0.4 / i
        guess = _comparison("quality", 100 * i, 0.1, half if i not in (1, 5) else None, last)
        verdict = AbVerdict(
            ab_test_id=f"{org}-test",
            org_id=org,
            capability=f"{org}-chat",
            as_of=at,
            status="decided" if last else "collecting",
            winner="treatment" if last else None,
            decided_at=at if last else None,
            decision="treatment is better" if last else None,
            srm_p_value=0.6 if i > 1 else None,
            alpha=0.05,
            arms=(
                ArmCount("control", f"{org}-small", 120 * i),
                ArmCount("treatment", f"{org}-big", 80 * i),
            ),
            comparisons=(guess, replace(guess, metric="error", role="guardrail", guard="safe")),
            recommendation="ship" if last else "keep_going",
            reason="treatment is better" if last else "quality may be better or worse",
            warning="calls of a unit depend on each other" if i == 2 else None,
            beliefs=(
                ArmBelief("quality", "control", 0.5, 0.4, 0.6, 0.1, 0.1),
                ArmBelief("quality", "treatment", 0.6, 0.5, 0.7, 0.9, 0.0),
            ),
        )
        found.append(asdict(verdict))
    return found


def _comparison(metric: str, n: int, mid: float, half: float | None, last: bool) -> Comparison:
    known = half is not None
    return Comparison(
        metric=metric,
        role="primary",
        direction="higher",
        arm="treatment",
        baseline="control",
        n_arm=n,
        n_baseline=n,
        mean_arm=0.6 if known else None,
        mean_baseline=0.5 if known else None,
        difference=mid if known else None,
        relative_difference=0.2 if known else None,
        fixed_p_value=0.01 if known else None,
        fixed_lower=mid - (half or 0) / 2 if known else None,
        fixed_upper=mid + (half or 0) / 2 if known else None,
        anytime_p_value=0.04 if known else None,
        anytime_lower=mid - half if half is not None else None,
        anytime_upper=mid + half if half is not None else None,
        verdict=("better" if last else "undecided") if known else "no_estimate",
        note=None if known else "fewer than 2 values in an arm",
    )


def _updates(org: str, start: datetime, end: datetime) -> list[dict[str, Any]]:
    """Every twenty minutes; the leader changes half-way; each was published twice."""
    found = []
    for i in range(1, 3 * HOURS):
        at = start + timedelta(minutes=20 * i)
        order = ["small", "big"] if i < 3 else ["big", "small"]
        for capability in ("chat", "code"):
            update = SelectionUpdate(
                selection_id=f"{org}-{capability}-{i}",
                org_id=org,
                capability=f"{org}-{capability}",
                issued_at=at,
                expires_at=at + timedelta(minutes=2),
                policy_version=1,
                reason="leader changed" if i == 3 else "nothing changed",
                candidates=(
                    _candidate(f"{org}-{order[0]}", 1, 0.9, 200 * i),
                    _candidate(f"{org}-{order[1]}", 2, 0.1, 100 * i),
                    _candidate(f"{org}-new", 3, 0.0, 0),
                ),
            )
            found += [asdict(update)] * 2
    return found


def _candidate(model_id: str, rank: int, weight: float, samples: int) -> Candidate:
    known = samples > 0
    return Candidate(
        model_id=model_id,
        model_version="1",
        rank=rank,
        weight=weight,
        eligible=known,
        score=0.8 - rank / 10 if known else None,
        score_lower=0.7 - rank / 10 if known else None,
        samples=samples,
        quality=0.8 if known else None,
        error_rate=0.02 if known else None,
        latency_p95_ms=900.0 if known else None,
        cost_usd_mean=0.004 if known else None,
        reasons=("best score",) if known else ("too few samples: 0 of 50", "new model"),
    )


def _alert(org: str, end: datetime) -> dict[str, Any]:
    return asdict(
        Alert(
            alert_id=f"{org}-alert",
            org_id=org,
            raised_at=end - timedelta(minutes=30),
            kind="latency",
            severity="warning",
            message=f"latency of {org}-big is up",
            capability=f"{org}-chat",
            model_id=f"{org}-big",
            p_value=1e-6,
        )
    )


def _dead_letter(end: datetime, i: int) -> dict[str, Any]:
    reasons = ("bad_utf8", "future_time", "out_of_range")
    return {
        "source_topic": "inference-events",
        "source_partition": i % 4,
        "source_offset": i,
        "source_timestamp": end.astimezone(UTC) - timedelta(minutes=i + 1),
        "key": b"key",
        "value": b"\x00broken",
        "reason_code": reasons[i % 3],
        "reason": "latency_ms is -1, which is below 0",
        "field": "latency_ms",
        "rejected_at": end.astimezone(UTC) - timedelta(minutes=i + 1),
    }
