"""What an ending writes."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from agents.evaluation.runner.call import retry_after_s
from agents.evaluation.runner.execution import Deferred, Finished, unanswered
from agents.evaluation.runner.failures import CallFailed
from agents.evaluation.runner.outgoing import (
    MESSAGE_BYTES_MAX,
    outgoing,
    read_calls,
    read_case,
    result_record,
)
from schemas.catalog import committed
from schemas.convert import to_record
from schemas.evaluations import CaseResult, Score
from schemas.topics import Topic
from schemas.wire import Codec
from tests.support.evaluation import case

CODEC = Codec(committed())
RESULT = replace(
    unanswered(case(), CallFailed("timeout", "too\n late"), 3),
    scores=(Score("exact", "exact", "1", 1.0, "yes", "because"),),
)


def written(result: CaseResult) -> dict[str, Any]:
    return CODEC.decode(outgoing(Finished(result), CODEC).value, "CaseResult")


def test_a_result_is_written_as_the_general_way_would() -> None:
    assert CODEC.encode("CaseResult", result_record(RESULT)) == CODEC.encode(
        "CaseResult", to_record(RESULT)
    )
    message = outgoing(Finished(RESULT), CODEC)
    assert (message.topic, message.key) == (Topic.CASE_RESULTS, b"run-1/case-0")
    found = written(RESULT)
    assert (found["error_type"], found["error_text"], found["attempts"]) == (
        "timeout",
        "too late",
        3,
    )


def test_a_deferred_case_comes_back_as_it_was_with_its_calls() -> None:
    due = datetime(2026, 1, 2, tzinfo=UTC)
    later = replace(case(), attempt=2, not_before=due)
    message = outgoing(Deferred(later, 9), CODEC)
    again = read_case(message.value, CODEC)
    assert message.topic is Topic.EVALUATION_RETRIES
    assert (again.attempt, again.not_before, read_calls(message.headers)) == (2, due, 9)
    assert read_calls(None) == read_calls([("calls", b"x")]) == 0


def test_texts_that_no_utf8_can_say_are_marked() -> None:
    assert written(replace(RESULT, output="a\ud800b"))["output"] == "a?b"


def test_what_is_too_large_loses_explanations_first_and_the_output_last() -> None:
    long = replace(RESULT.scores[0], explanation="x" * MESSAGE_BYTES_MAX)
    found = written(replace(RESULT, scores=(long,), output="kept"))
    assert found["output"] == "kept"
    assert len(found["scores"][0]["explanation"]) == 10_000
    found = written(replace(RESULT, output="y" * MESSAGE_BYTES_MAX))
    assert (found["output"], "too large" in found["error_text"]) == (None, True)


def test_retry_after_is_read_in_all_its_forms() -> None:
    assert retry_after_s({"Retry-After": "2.5"}, 0) == 2.5
    assert retry_after_s({"retry-after-ms": "250", "Retry-After": "9"}, 0) == 0.25
    assert retry_after_s({"Retry-After": "Thu, 01 Jan 1970 00:01:00 GMT"}, 10) == 50
    assert retry_after_s({"Retry-After": "-5"}, 0) == 0
    assert retry_after_s({"Retry-After": "soon"}, 0) is None
    assert retry_after_s({"Retry-After": "nan"}, 0) is None
    assert retry_after_s({"Retry-After": "inf"}, 0) == 3600
    assert retry_after_s({}, 0) is None
