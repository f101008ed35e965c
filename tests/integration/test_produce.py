"""`rheostat produce` and a real broker: good files arrive whole, every bad line is named."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from infra.errors import OperatorError
from infra.produce.run import ProduceOptions, run
from infra.settings import Settings
from infra.workers import kafka_config
from schemas.topics import Topic
from tests.support.events import CODEC
from tests.support.servers import Kafka

pytestmark = pytest.mark.integration
SETS = ("org_id=acme", "model_version=1", "capability=chat")
GOOD = {"model_id": "small", "seconds": 0.5, "input_tokens": 3, "output_tokens": 4}


def lines(tmp_path: Path, values: Sequence[Any]) -> Path:
    path = tmp_path / "calls.jsonl"
    path.write_text("".join(f"{v if isinstance(v, str) else json.dumps(v)}\n" for v in values))
    return path


def produce(settings: Settings, path: Path, **options: Any) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    out, err = (Console(file=io.StringIO(), width=200) for _ in range(2))
    given = {"maps": ("latency_ms=seconds*1000",), "sets": SETS, **options}
    code = run(settings, ProduceOptions(path, **given), out, err)
    return code, *(str(c.file.getvalue()) for c in (out, err))  # type: ignore[attr-defined,return-value]


def arrived(
    kafka: Kafka, settings: Settings, topic: Topic = Topic.INFERENCE_EVENTS
) -> list[dict[str, Any]]:
    record = "InferenceEvent" if topic is Topic.INFERENCE_EVENTS else "FeedbackEvent"
    found = []
    for message in kafka.read_all(kafka_config(settings).topic(topic)):
        event = CODEC.decode(message.value(), record)
        assert message.key().decode() == event["unit_id"]
        found.append(event)
    return found


def test_a_good_file_arrives_whole_and_again_with_the_same_ids(
    kafka: Kafka, settings: Settings, tmp_path: Path
) -> None:
    path = lines(tmp_path, [{**GOOD, "input_tokens": i} for i in range(1200)])
    code, out, err = produce(settings, path)
    assert (code, err) == (0, "")
    assert "1,200  sent to inference-events" in out
    found = arrived(kafka, settings)
    assert sorted(e["input_tokens"] for e in found) == list(range(1200))
    assert {e["latency_ms"] for e in found} == {500.0}
    produce(settings, path, rate_per_s=20_000)
    twice = arrived(kafka, settings)
    assert len(twice) == 2400
    assert {e["event_id"] for e in twice} == {e["event_id"] for e in found}


BAD = [GOOD, {**GOOD, "seconds": -1}, "{", {**GOOD, "model_id": None}, GOOD]


def test_one_bad_line_stops_all_and_every_one_is_named(
    kafka: Kafka, settings: Settings, tmp_path: Path
) -> None:
    rejects = tmp_path / "rejects.jsonl"
    code, out, err = produce(settings, lines(tmp_path, BAD), rejects=rejects)
    assert code == 1
    assert "calls.jsonl, line 2: latency_ms is -1000; it must be from 0" in err
    assert "calls.jsonl, line 3: is not JSON" in err
    assert "calls.jsonl, line 4: model_id has no value" in err
    assert "0  sent to" in out
    assert arrived(kafka, settings) == []
    named = [json.loads(line) for line in rejects.read_text().splitlines()]
    assert [(each["line"], each["field"]) for each in named] == [
        (2, "latency_ms"),
        (3, "the line"),
        (4, "model_id"),
    ]


def test_skipping_sends_the_others_and_still_names_the_bad(
    kafka: Kafka, settings: Settings, tmp_path: Path
) -> None:
    code, out, err = produce(settings, lines(tmp_path, BAD), skip=True)
    assert code == 0
    assert err.count("calls.jsonl, line") == 3
    assert "3  bad: " in out
    assert len(arrived(kafka, settings)) == 2


def test_a_dry_run_shows_events_and_sends_nothing(
    kafka: Kafka, settings: Settings, tmp_path: Path
) -> None:
    code, out, _ = produce(settings, lines(tmp_path, [GOOD] * 5), dry_run=True, show=2)
    assert code == 0
    assert out.count('"latency_ms": 500.0') == 2
    assert arrived(kafka, settings) == []


def test_many_bad_lines_are_counted_beyond_those_shown(settings: Settings, tmp_path: Path) -> None:
    path = lines(tmp_path, [GOOD, *[{**GOOD, "seconds": -1}] * 50])
    code, out, err = produce(settings, path, skip=True, dry_run=True)
    assert code == 0
    assert err.count("calls.jsonl, line") == 20
    assert "30 more problems" in err
    assert "50  bad: latency_ms 50" in out


def test_feedback_from_csv(kafka: Kafka, settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "thumbs.csv"
    path.write_text("call,model_id,thumb\nc-1,small,true\nc-2,small,false\n")
    code, _, err = produce(
        settings,
        path,
        topic="feedback-events",
        maps=("inference_id=call", "value=thumb"),
        sets=(*SETS, "metric=thumbs_up"),
    )
    assert (code, err) == (0, "")
    found = arrived(kafka, settings, Topic.FEEDBACK_EVENTS)
    assert {(e["inference_id"], e["value"]) for e in found} == {("c-1", 1.0), ("c-2", 0.0)}


def test_what_cannot_work_is_said_before_anything_is_read(
    settings: Settings, tmp_path: Path
) -> None:
    path = lines(tmp_path, [GOOD])
    with pytest.raises(OperatorError, match="nothing fills org_id"):
        produce(settings, path, sets=())
    with pytest.raises(OperatorError, match="has no column secs"):
        produce(settings, path, maps=("latency_ms=secs",))
    with pytest.raises(OperatorError, match="--topic alerts is none of"):
        produce(settings, path, topic="alerts")
    with pytest.raises(OperatorError, match="no pattern such as"):
        produce(settings, path, time_format="epoch")
    elsewhere = settings.model_copy(update={"topic_prefix": "nowhere-"})
    with pytest.raises(OperatorError, match="there is no topic nowhere-inference-events"):
        produce(elsewhere, path)
