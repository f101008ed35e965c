"""A suite whose every question is answered by "ok", with a dataset of any size."""

from collections.abc import Sequence

from agents.evaluation.datasets.contents import dataset_case
from agents.evaluation.datasets.create import Datasets
from agents.evaluation.requests import Requester
from agents.registry.client import RegistryClient, Sender
from bench.lab import CODEC
from infra.settings import Settings
from infra.workers import kafka_config
from schemas.commands import Change
from schemas.entities import Endpoint, Entity, Model
from schemas.suites import Dataset, PromptMessage, ScorerUse, Suite
from streams.registry_view import RegistryView

NAME = "toy"
ASKER = Requester("bench", NAME)
FIELD_CHARS = 500


def create(
    settings: Settings,
    view: RegistryView,
    client: RegistryClient,
    cases: int,
    models: Sequence[str],
    base_url: str,
) -> None:
    """Publishes the cases, and registers dataset, suite and models. Waits for the agents."""
    draft = Dataset(NAME, NAME, "1", "0" * 64, 1, ())
    prepared = [
        dataset_case(f"case-{i}", {"question": f"{i} " + "x" * FIELD_CHARS, "answer": "ok"})
        for i in range(cases)
    ]
    Datasets(kafka_config(settings), CODEC, view, client).create(draft, prepared, Sender("bench"))
    suite = Suite(
        org_id=NAME,
        suite_id=NAME,
        suite_version="1",
        capability="chat",
        task_kind="qa",
        dataset_id=NAME,
        dataset_version="1",
        prompt=(PromptMessage("user", "{question}"),),
        scorers=(ScorerUse("exact_match", threshold=1.0),),
    )
    at = Endpoint(base_url, "openai-chat")
    entities: list[Entity] = [suite]
    entities += [Model(NAME, model, "1", "local", ("chat",), endpoint=at) for model in models]
    for entity in entities:
        client.submit([Change("create", entity.key, None, entity)], Sender("bench"))
