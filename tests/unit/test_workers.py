"""How a runner is put together from its settings."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agents.errors import BadConfiguration
from agents.evaluation import scoring
from agents.evaluation.embedders import EndpointEmbedder
from agents.evaluation.runner.asking import Asking
from agents.evaluation.runner.runner import Runner
from infra import workers
from infra.settings import Settings
from streams.telemetry import Health


class View:
    """A registry or runs that are there at once."""

    snapshot = state_of = None

    def __init__(self, *_: object) -> None: ...
    def __enter__(self) -> "View":
        return self

    def __exit__(self, *_: object) -> None: ...
    def wait_loaded(self, _: float) -> None: ...


def test_a_runner_with_a_wrong_embedder_does_not_start(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, embedders={"mine": {"url": "http://localhost:1/v1"}})
    with pytest.raises(BadConfiguration, match="mine"):
        workers.KINDS["runner"](settings)


def test_the_scorers_of_a_runner_get_its_embedders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[Any] = []

    async def run(self: Runner, judging: object, stop: object) -> None:
        await asyncio.sleep(0)

    class Noted(scoring.Scoring):
        def __init__(self, services: Any, judges: Any = None) -> None:
            super().__init__(services, judges=judges)
            found.append((services, judges))

        async def __aenter__(self) -> "Noted":
            return self

        async def __aexit__(self, *_: object) -> None: ...

    monkeypatch.setattr(workers, "_pages", lambda _: Health())
    monkeypatch.setattr(workers, "_until_signal", lambda: None)
    monkeypatch.setattr(scoring, "Scoring", Noted)
    monkeypatch.setattr("streams.registry_view.RegistryView", View)
    monkeypatch.setattr("agents.evaluation.runs.RunsView", View)
    monkeypatch.setattr(Runner, "run", run)
    text = {"default": {"url": "http://localhost:1/v1", "model": "m"}}
    workers.KINDS["runner"](Settings(data_dir=tmp_path, embedders=text))
    ((services, judges),) = found
    assert isinstance(judges, Asking)
    assert isinstance(services.embedders["default"], EndpointEmbedder)
