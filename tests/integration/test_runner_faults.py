"""What endpoints do wrong, on real sockets: each fault has its stated outcome."""

import asyncio
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agents.evaluation.runner import answering, execution, failures, lane
from agents.evaluation.runner.adapters import adapters
from agents.evaluation.runner.answering import Answering, Attempt
from agents.evaluation.runner.asking import Asking
from agents.evaluation.runner.backoff import Backoff
from agents.evaluation.runner.cache import AnswerCache
from agents.evaluation.runner.call import Caller, Timeouts, new_session
from agents.evaluation.runner.execution import Deferred, Ending, Execution, Finished
from agents.evaluation.runner.secret import Secrets
from agents.evaluation.services import Question, Reply, ServiceFailed, Spent
from infra.scripted_endpoint.script import Answer, Fault, FaultKind, Latency, Rule, Script
from infra.scripted_endpoint.serve import serving
from schemas.entities import Model
from schemas.evaluations import CaseResult, EvaluationCase
from schemas.models import Price, RateLimits
from schemas.suites import PromptMessage
from tests.support.evaluation import case as new_case
from tests.support.evaluation import conclude, fact, model, score, snapshot

pytestmark = pytest.mark.integration

STYLES = ("openai-chat", "openai-completions", "anthropic-messages")
TIMEOUTS = Timeouts(connect_s=20, first_byte_s=20, idle_s=20)
SHORT = Timeouts(connect_s=20, first_byte_s=0.4, idle_s=0.4)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "BETWEEN_TRIES", Backoff(0.01, 0.05))
    monkeypatch.setattr(answering, "UNKNOWN_S", 0.05)


class Lab:
    """An Execution against some models, without Kafka."""

    def __init__(self, folder: Path, *models: Model, cache: AnswerCache | None = None) -> None:
        self.registry = snapshot(*models)
        self.folder, self.cache = folder, cache

    def run(
        self, *cases: EvaluationCase, timeouts: Timeouts = TIMEOUTS, most: int = 64
    ) -> Sequence[Ending]:
        return asyncio.run(self._run(cases, timeouts, most))

    async def _run(
        self, cases: Sequence[EvaluationCase], timeouts: Timeouts, most: int
    ) -> Sequence[Ending]:
        import random

        rng = random.Random(1)
        async with new_session(timeouts) as session:
            self.answering = Answering(
                registry=lambda: self.registry,
                adapters=adapters(),
                caller=Caller(session, timeouts),
                secrets=Secrets(self.folder),
                cache=self.cache,
                rng=rng,
                most=most,
            )
            one = Execution(self.answering, score, conclude, rng)
            endings = await asyncio.gather(*(one.execute(Attempt(case)) for case in cases))
            self.answering.close()
            return endings

    def result(self, case: EvaluationCase, **options: Any) -> CaseResult:
        """Of a case that ends at once."""
        [ending] = self.run(case, **options)
        assert isinstance(ending, Finished), ending
        return ending.result


def script(kind: FaultKind | None = None, **more: Any) -> Script:
    faults = () if kind is None else (Fault(kind, **more),)
    return Script(rules=(Rule(faults=faults, latency=Latency(10)),))


def late(attempt: int = 20) -> EvaluationCase:
    """A case that has been tried so often that this execution is its last."""
    return new_case(attempt=attempt)


OUTCOMES: list[tuple[FaultKind, dict[str, Any], str]] = [
    ("rate_limit", {"seconds": 0.01}, "rate_limited"),
    ("overloaded", {}, "overloaded"),
    ("server_error", {}, "server_error"),
    ("authentication", {}, "authentication"),
    ("not_found", {}, "not_found"),
    ("invalid_request", {}, "invalid_request"),
    ("context_length", {}, "context_length"),
    ("content_filter", {}, "content_filter"),
    ("never", {}, "timeout"),
    ("drip", {"seconds": 60.0}, "timeout"),
    ("refuse", {}, "connection"),
    ("cut", {}, "connection"),
    ("broken_json", {}, "bad_response"),
    ("wrong_encoding", {}, "bad_response"),
    ("redirect", {}, "invalid_request"),
    ("gzip_bomb", {"size": 20_000_000}, "bad_response"),
    ("huge", {"size": 2_500_000}, "answer_too_long"),
]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(("kind", "more", "error_type"), OUTCOMES)
def test_a_fault_that_stays_ends_in_its_error(
    kind: FaultKind, more: dict[str, Any], error_type: str, style: str, tmp_path: Path
) -> None:
    with serving(script(kind, **more)) as endpoint:
        lab = Lab(tmp_path, model(endpoint.base_url, style=style))
        result = lab.result(late(), timeouts=SHORT if error_type == "timeout" else TIMEOUTS)
    assert (result.error_type, result.passed, result.output) == (error_type, False, None)
    assert result.error_text
    assert result.latency_ms is None
    final = failures.ERRORS[result.error_type].executions == 1  # type: ignore[index]
    assert (result.attempts == 1) == final


@pytest.mark.parametrize("style", STYLES)
def test_a_fault_that_passes_costs_a_call(style: str, tmp_path: Path) -> None:
    with serving(script("server_error", times=1)) as endpoint:
        result = Lab(tmp_path, model(endpoint.base_url, style=style)).result(new_case())
    assert (result.error_type, result.output, result.attempts) == (None, "ok", 2)


def test_what_keeps_failing_is_executed_later_and_says_when(tmp_path: Path) -> None:
    with serving(script("server_error")) as endpoint:
        [ending] = Lab(tmp_path, model(endpoint.base_url)).run(new_case())
    assert isinstance(ending, Deferred)
    assert (ending.case.attempt, ending.calls) == (1, answering.TRIES)
    assert ending.case.not_before is not None
    wait = ending.case.not_before - datetime.now(UTC)
    assert timedelta(seconds=0) < wait <= timedelta(seconds=execution.LATER.longest_s)


def test_a_long_retry_after_is_honoured_by_executing_later(tmp_path: Path) -> None:
    with serving(script("rate_limit", seconds=300)) as endpoint:
        [ending] = Lab(tmp_path, model(endpoint.base_url)).run(new_case())
        assert sum(endpoint.endpoint.calls.values()) == 1
    assert isinstance(ending, Deferred)
    assert ending.case.not_before is not None
    assert ending.case.not_before - datetime.now(UTC) > timedelta(seconds=250)


def test_thirty_percent_errors_leave_no_case_without_an_answer(tmp_path: Path) -> None:
    faults = (Fault("server_error", 0.2), Fault("cut", 0.1))
    with serving(Script(rules=(Rule(faults=faults, latency=Latency(5)),))) as endpoint:
        lab = Lab(tmp_path, model(endpoint.base_url))
        todo, results, rounds = [new_case(i) for i in range(300)], [], 0
        while todo:
            endings = lab.run(*todo)
            results += [e.result for e in endings if isinstance(e, Finished)]
            todo = [e.case for e in endings if isinstance(e, Deferred)]
            rounds += 1
    assert rounds <= 5
    assert {r.error_type for r in results} == {None}
    assert len({r.case_id for r in results}) == 300


def test_a_megabyte_is_kept_whole(tmp_path: Path) -> None:
    with serving(script("huge", size=1_000_000)) as endpoint:
        result = Lab(tmp_path, model(endpoint.base_url)).result(new_case())
    assert result.output == "x" * 1_000_000
    assert result.finish_reason == "stop"


def test_a_case_has_a_time_of_its_own(tmp_path: Path) -> None:
    slow = Script(rules=(Rule(latency=Latency(400, first_share=1.0)),))
    with serving(slow) as endpoint:
        late_case = new_case(timeout_s=0.1, attempt=1)
        result = Lab(tmp_path, model(endpoint.base_url)).result(late_case)
    assert (result.error_type, result.attempts) == ("timeout", 1)


def test_nobody_listening_is_a_connection_error(tmp_path: Path) -> None:
    result = Lab(tmp_path, model("http://127.0.0.1:1/v1")).result(late())
    assert result.error_type == "connection"


def test_a_circuit_that_is_open_for_long_sends_cases_away_without_a_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "HOLD_S", 0.2)
    monkeypatch.setattr(answering, "HOLD_S", 0.2)
    with serving(script("refuse")) as endpoint:
        endings = Lab(tmp_path, model(endpoint.base_url)).run(*(new_case(i) for i in range(100)))
        calls = sum(endpoint.endpoint.calls.values())
    assert all(isinstance(e, Deferred) for e in endings)
    assert calls < 100


def test_a_model_that_is_not_there_is_no_call(tmp_path: Path) -> None:
    lab = Lab(tmp_path, model("http://127.0.0.1:1/v1"))
    unknown = lab.result(new_case(model_id="other"))
    assert (unknown.error_type, unknown.attempts, unknown.cost_usd) == ("not_found", 0, 0.0)
    gone = model("http://127.0.0.1:1/v1")
    lab.registry = lab.registry.with_fact(gone.key, fact(gone, 2, deleted=True))
    deleted = lab.result(new_case())
    assert (deleted.error_type, deleted.passed) == ("model_deleted", None)


def test_a_model_deleted_between_two_tries_is_not_called_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answering, "BETWEEN_TRIES", Backoff(1.0, 1.0, certain=1.0))
    with serving(script("server_error")) as endpoint:
        here = model(endpoint.base_url)
        lab = Lab(tmp_path, here)

        def delete() -> None:
            lab.registry = lab.registry.with_fact(here.key, fact(here, 2, deleted=True))

        threading.Timer(0.5, delete).start()
        result = lab.result(new_case())
    assert (result.error_type, result.attempts) == ("model_deleted", 1)


def test_a_model_without_a_usable_endpoint_is_no_call(tmp_path: Path) -> None:
    lab = Lab(tmp_path, model("http://127.0.0.1:1/v1", style="smoke-signals"))
    result = lab.result(new_case())
    assert result.error_type == "no_endpoint"
    assert "openai-chat" in (result.error_text or "")


@pytest.mark.parametrize("style", STYLES)
def test_a_key_is_sent_and_never_told(style: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-right")
    (tmp_path / "bad").write_text("sk-wrong")
    with serving(Script(keys=("sk-right",))) as endpoint:
        url = endpoint.base_url
        right = model(url, style=style, secret_ref="file:key")
        wrong = model(url, "other", style=style, secret_ref="file:bad")
        lab = Lab(tmp_path, right, wrong)
        good, bad = lab.result(new_case()), lab.result(new_case(model_id="other"))
    assert (good.output, bad.error_type) == ("ok", "authentication")
    assert "sk-wrong" not in repr(bad)


def test_an_endpoint_that_echoes_the_key_does_not_get_it_into_a_result(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("Incorrect")
    with serving(script("authentication")) as endpoint:
        keyed = model(endpoint.base_url, secret_ref="file:key")
        result = Lab(tmp_path, keyed).result(new_case())
    assert result.error_text == "HTTP 401: *** API key provided"


def test_concurrency_adapts_to_what_an_endpoint_takes(tmp_path: Path) -> None:
    slow = Script(rules=(Rule(latency=Latency(40)),), capacity=6)
    with serving(slow) as endpoint:
        lab = Lab(tmp_path, model(endpoint.base_url, rate_limits=RateLimits(None, None, 64)))
        endings = lab.run(*(new_case(i) for i in range(200)))
        [way] = lab.answering._lanes.values()
        turned_away = endpoint.endpoint.answered[429]
    assert way.concurrency.places <= 16
    assert turned_away < 200
    assert sum(isinstance(e, Finished) for e in endings) > 150


def test_the_registrys_limit_of_concurrent_calls_is_kept(tmp_path: Path) -> None:
    with serving(Script(rules=(Rule(latency=Latency(30)),))) as endpoint:
        lab = Lab(tmp_path, model(endpoint.base_url, rate_limits=RateLimits(None, None, 3)))
        lab.run(*(new_case(i) for i in range(30)))
        assert endpoint.endpoint.most == 3


@pytest.fixture
def cache(tmp_path: Path) -> AnswerCache:
    return AnswerCache(tmp_path / "answers.sqlite")


def test_an_answer_is_paid_for_once(tmp_path: Path, cache: AnswerCache) -> None:
    with serving(script()) as endpoint:
        lab = Lab(tmp_path, model(endpoint.base_url), cache=cache)
        first = lab.result(new_case())
        assert cache.flush(0.0) == 1
        again = lab.result(new_case(run_id="run-2"))
        assert sum(endpoint.endpoint.calls.values()) == 1
        lab.result(new_case(run_id="run-2", epoch=1))
        lab.result(new_case(run_id="run-2", parameters='{"temperature": 1}'))
        lab.result(new_case(run_id="run-3", use_cache=False))
        assert sum(endpoint.endpoint.calls.values()) == 4
    assert (first.cached, first.attempts, first.cost_usd) == (False, 1, None)
    assert (again.cached, again.attempts, again.cost_usd) == (True, 0, 0.0)
    assert (again.latency_ms, again.output, again.passed) == (None, "ok", True)
    cache.close()


def test_a_case_that_was_answered_before_a_crash_keeps_what_it_cost(
    tmp_path: Path, cache: AnswerCache
) -> None:
    with serving(script()) as endpoint:
        lab = Lab(tmp_path, model(endpoint.base_url), cache=cache)
        before = lab.result(new_case(use_cache=False))
        again = lab.result(new_case(use_cache=False))
        assert sum(endpoint.endpoint.calls.values()) == 1
    assert (again.cached, again.latency_ms, again.attempts) == (False, before.latency_ms, 1)
    cache.close()


def test_stored_outputs_are_scored_without_a_call(tmp_path: Path) -> None:
    lab = Lab(tmp_path, model("http://127.0.0.1:1/v1"))
    result = lab.result(new_case(stored_output="ok"))
    assert (result.passed, result.attempts, result.cost_usd) == (True, 0, 0.0)
    assert result.latency_ms is None


def test_a_judge_is_asked_like_any_model(tmp_path: Path, cache: AnswerCache) -> None:
    with serving(Script(rules=(Rule(answer=Answer("4 of 5")),))) as endpoint:
        price = Price(datetime(2026, 1, 1, tzinfo=UTC), 1000.0, 0.0)
        lab = Lab(tmp_path, model(endpoint.base_url, prices=(price,)), cache=cache)
        lab.run(new_case())
        messages = (PromptMessage("user", "judge this"),)

        async def ask(model_id: str, case: EvaluationCase) -> Reply:
            async with new_session(TIMEOUTS) as session:
                lab.answering.caller = Caller(session, TIMEOUTS)
                lab.answering._lanes.clear()
                asking = Asking(lab.answering)
                return await asking(Question("acme", model_id, None, messages), case)

        first = asyncio.run(ask("small", new_case()))
        assert (first.text, first.spent.calls) == ("4 of 5", 1)
        assert first.spent.cost_usd == 0.001 * first.spent.input_tokens > 0
        # After a crash the same answer's judge is found, with what it cost.
        assert asyncio.run(ask("small", new_case())) == first
        # Another answer has the same question for nothing.
        assert asyncio.run(ask("small", new_case(epoch=1))) == Reply("4 of 5", Spent())
        with pytest.raises(ServiceFailed, match="no active version of other"):
            asyncio.run(ask("other", new_case()))
    cache.close()
