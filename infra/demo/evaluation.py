"""The demo's evaluation: two models whose endpoint is scripted, on one of the standard suites."""

import time
from contextlib import ExitStack

from rich.console import Console

from agents.evaluation.datasets.create import Datasets
from agents.evaluation.suites.standard import Prepared, standard
from agents.registry.apply import apply_with
from agents.registry.client import RegistryClient, Sender
from infra import evaluation_show
from infra.evaluations import Asked, Desk, opened
from infra.scripted_endpoint.script import Answer, Fault, Latency, Rule, Script
from infra.scripted_endpoint.serve import serving
from infra.scripted_endpoint.standard import table
from infra.settings import Settings
from infra.workers import catalog, kafka_config
from schemas.entities import Endpoint, Entity, Model
from schemas.evaluations import EvaluationRun
from schemas.models import Price
from schemas.suites import Suite
from schemas.wire import Codec
from streams.times import moment

ORG = "demo-evaluation"
SUITE = "classification"
LABELS = ("billing", "technical", "account", "delivery", "praise")
SENDER = Sender("rheostat demo")
TIMEOUT_S = 120.0
_PRICES_SINCE = moment(1_704_067_200_000)


def evaluate(settings: Settings, console: Console) -> bool:
    """Runs it and shows its report. Whether every case ended with one result.

    Raises OperatorError and the packages' own errors.
    """
    chosen = standard(ORG)
    suite = next(s for s in chosen.suites if s.suite_id == SUITE)
    prepared = next(p for p in chosen.datasets if p.draft.dataset_id == suite.dataset_id)
    with ExitStack() as stack:
        endpoint = stack.enter_context(serving(_script()))
        desk = stack.enter_context(opened(settings))
        _register(settings, desk, suite, prepared, endpoint.base_url)
        run = desk.begin(Asked(SUITE, ("careful", "hasty"), ORG))
        with console.status("evaluating two models on a scripted endpoint …"):
            run = _finished(desk, run)
        report = desk.report(run)
    console.print("\n[bold]An evaluation[/] of two models through a scripted endpoint")
    evaluation_show.show(report, console)
    if not report.rankings:
        console.print("Ranking: none, since no judge compared the answers in pairs")
    console.print(f"rheostat results {run.run_id}", style="cyan", highlight=False)
    exact = run.state == "completed" and run.finished == run.planned == report.stored
    if not exact:
        console.print(f"[red]{report.stored} results are stored of {run.planned} cases[/]")
    return exact


def _finished(desk: Desk, run: EvaluationRun) -> EvaluationRun:
    deadline = time.monotonic() + TIMEOUT_S
    for now in desk.follow(run):
        run = now
        if time.monotonic() > deadline:
            break
    return run


def _script() -> Script:
    """The careful model is right more often, and slower; both fail at times and are asked again."""
    faults = (Fault("server_error", 0.05, times=1), Fault("rate_limit", 0.05, times=1, seconds=0.2))
    return Script(
        rules=(
            Rule(
                model="careful",
                answer=Answer(by_table=True, accuracy=0.95, wrong=LABELS),
                latency=Latency(120, 0.4),
                faults=faults,
            ),
            Rule(
                answer=Answer(by_table=True, accuracy=0.75, wrong=LABELS),
                latency=Latency(40, 0.4),
                faults=faults,
            ),
        ),
        table=table(),
    )


def _register(
    settings: Settings, desk: Desk, suite: Suite, prepared: Prepared, base_url: str
) -> None:
    kafka, codec = kafka_config(settings), Codec(catalog(settings))
    at = Endpoint(base_url, "openai-chat")
    models = [
        Model(ORG, name, "1", "scripted", (suite.capability,), prices=(price,), endpoint=at)
        for name, price in (
            ("careful", Price(_PRICES_SINCE, 2.5, 10.0)),
            ("hasty", Price(_PRICES_SINCE, 0.15, 0.6)),
        )
    ]
    entities: list[Entity] = [suite, *models]
    with RegistryClient(kafka, codec, desk.registry) as client:
        Datasets(kafka, codec, desk.registry, client).create(prepared.draft, prepared.cases, SENDER)
        apply_with(client, desk.registry, entities, codec, SENDER)
