"""Evaluations on a real model behind the llama.cpp server: run by `make llama` alone."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import aiohttp
import httpx
import pytest

from agents.evaluation.embedders import embedders
from agents.evaluation.runner.adapters import adapters
from agents.evaluation.runner.adapters.base import Question
from agents.evaluation.runner.call import Called, Caller, Timeouts, new_session
from agents.evaluation.runner.failures import CallFailed
from agents.evaluation.suites.standard import standard
from infra.settings import Settings
from schemas.evaluations import CaseResult, RunModel, RunSpec
from schemas.models import Endpoint, RateLimits
from schemas.suites import GenerationParameters, PromptMessage, Suite
from sinks.clickhouse import ClickHouse
from sinks.run_results import CaseQuestion, cases
from tests.support.engine import Engine, engine
from tests.support.lanes import Lanes
from tests.support.llama import INSTALLED, LlamaServer, llama
from tests.support.runs import model
from tests.support.servers import ClickHouseServer, Kafka, wait_until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.llama,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not INSTALLED.exists(), reason="make llama installs the server"),
]
STYLES = ("openai-chat", "openai-completions")
SHORT = 24
"""Tokens an answer: a base model talks on to any limit, and processors are slow."""
PATIENT = Timeouts(first_byte_s=600, idle_s=600)


@pytest.fixture
def ready(kafka: Kafka, settings: Settings, clickhouse: ClickHouseServer) -> Iterator[Engine]:
    made = Lanes.create(kafka, settings, clickhouse)
    with engine(made, settings) as found, found.planner(), found.runner():
        yield found


def installed(ready: Engine, server: LlamaServer) -> Sequence[Suite]:
    """Registers a model for each protocol and the five suites, with short answers."""
    limits = RateLimits(concurrent_requests=2)
    for style in STYLES:
        at = Endpoint(server.base_url, style)
        ready.create(model(style, endpoint=at, rate_limits=limits))
    chosen = [s for s in standard("acme").suites if s.suite_id != "humaneval"]
    known = {p.draft.dataset_id: p for p in standard("acme").datasets}
    made = []
    for suite in chosen:
        prepared = known[suite.dataset_id]
        ready.dataset(prepared.draft, prepared.cases)
        limit = GenerationParameters(temperature=0.0, max_output_tokens=SHORT)
        made.append(replace(suite, parameters=limit, case_timeout_s=600.0))
    ready.create(*made)
    return made


def spec(suite: Suite, styles: Sequence[str], cases_max: int) -> RunSpec:
    models = tuple(RunModel(style, "1") for style in styles)
    return RunSpec(suite.suite_id, suite.suite_version, models, cases_max=cases_max)


def results(ready: Engine, run_id: str, count: int) -> list[CaseResult]:
    """Once ClickHouse has them all."""
    clickhouse = ClickHouse(ready.lanes.clickhouse.url, ready.lanes.database)

    def found() -> list[CaseResult]:
        return cases(clickhouse, CaseQuestion("acme", run_id, limit=count + 1))

    wait_until(lambda: len(found()) >= count, 60, "results are missing")
    return found()


def ask(server: LlamaServer, *texts: str, style: str = "openai-chat") -> list[Called | CallFailed]:
    """All at once."""

    async def calls() -> list[Called | CallFailed]:
        async with new_session(PATIENT) as session:
            return await asyncio.gather(*(call(session, text) for text in texts))

    async def call(session: aiohttp.ClientSession, text: str) -> Called | CallFailed:
        adapter = adapters()[style]
        message = PromptMessage("user", text)
        parameters = {"max_output_tokens": SHORT, "ignore_eos": True}
        question = Question(server.base_url, "gemma", (message,), parameters)
        try:
            return await Caller(session, PATIENT).call(adapter, adapter.request(question), None)
        except CallFailed as failed:
            return failed

    return asyncio.run(calls())


def test_the_five_suites_run_on_a_real_model(ready: Engine, tmp_path: Path) -> None:
    with llama(tmp_path) as server:
        suites = installed(ready, server)
        assert len(suites) == 5
        for suite in suites:
            run = ready.begin(spec(suite, STYLES, 2))
            over = ready.wait_over(run.run_id, 1200)
            assert (over.state, over.finished, over.errors) == ("completed", 4, 0)
            for result in results(ready, run.run_id, 4):
                assert result.finish_reason in ("stop", "length")
                assert 0 < (result.ttft_ms or 0) <= (result.latency_ms or 0)
                assert result.input_tokens > 10
                assert 0 < result.output_tokens <= SHORT
                assert result.cost_usd is None or result.cost_usd > 0
                assert result.output
                assert result.score is not None


def test_a_server_that_is_killed_and_comes_back_loses_no_case(
    ready: Engine, tmp_path: Path
) -> None:
    with llama(tmp_path) as server:
        suite = next(s for s in installed(ready, server) if s.suite_id == "classification")
        run = ready.begin(spec(suite, STYLES, 5))

        def finished() -> int:
            return getattr(ready.runs.get(run.run_id), "finished", 0)

        wait_until(lambda: finished() >= 2, 600, "no case was finished")
        server.kill()
        server.start()  # and is called while it loads
        over = ready.wait_over(run.run_id, 1200)
        assert (over.state, over.finished, over.errors) == ("completed", 10, 0)
        stored = {(r.case_id, r.model_id) for r in results(ready, run.run_id, 10)}
        assert len(stored) == 10


def test_a_prompt_beyond_the_context_is_told_apart(tmp_path: Path) -> None:
    with llama(tmp_path, "--context", "256", "--slots", "1") as server:
        (failed,) = ask(server, "word " * 400)
        assert isinstance(failed, CallFailed)
        assert failed.error_type == "context_length"
        assert "context size" in failed.text


def test_calls_that_fill_a_shared_context_ask_for_fewer_at_a_time(tmp_path: Path) -> None:
    text = "word " * 150
    with llama(tmp_path, "--context", "256", "--slots", "2", "--shared") as server:
        both = ask(server, f"1 {text}", f"2 {text}")
        failed = [one for one in both if isinstance(one, CallFailed)]
        assert failed
        assert {one.error_type for one in failed} == {"overloaded"}
        (alone,) = ask(server, f"1 {text}")
        assert isinstance(alone, Called)
        assert alone.answer.output_tokens == SHORT


def test_embeddings_are_real(tmp_path: Path) -> None:
    async def embed() -> Sequence[Sequence[float]]:
        spec = {"default": {"url": server.base_url, "model": "gemma"}}
        async with httpx.AsyncClient(timeout=600) as client:
            known = embedders(json.dumps(spec), client)
            return await known["default"](["A man eats.", "A man eats.", "Shares fell sharply."])

    with llama(tmp_path, "--embeddings") as server:
        one, same, other = asyncio.run(embed())
    near, far = (sum(a * b for a, b in zip(one, v, strict=True)) for v in (same, other))
    assert near == pytest.approx(1.0, abs=1e-3)
    assert far < near - 0.01
