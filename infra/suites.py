"""`rheostat suites ...`: what the commands do, apart from how it is shown."""

import getpass
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from agents.evaluation.datasets.create import Datasets
from agents.evaluation.datasets.reader import DatasetReader
from agents.evaluation.lookup import find, name_of, named
from agents.evaluation.render import render
from agents.evaluation.runs import RunsView
from agents.evaluation.suites.load import Done
from agents.evaluation.suites.load import load as load_with
from agents.evaluation.uses import refuse_used
from agents.registry.client import RegistryClient, Sender
from infra.errors import OperatorError
from infra.registry import TIMEOUT_S, require_topic
from infra.settings import Settings
from infra.workers import catalog, kafka_config
from schemas.commands import Change
from schemas.entities import Model, Organisation
from schemas.reasons import MAX_TEXT_BYTES
from schemas.suites import Dataset, PromptMessage, Suite
from schemas.topics import Topic
from schemas.types import Name
from schemas.wire import Codec
from sinks.clickhouse import ClickHouse
from streams.registry_view import RegistrySnapshot, RegistryView

V = TypeVar("V", Suite, Dataset)
_NAME: TypeAdapter[str] = TypeAdapter(Name)


@dataclass(frozen=True, slots=True)
class Preview:
    """One case as a model would be sent it. `fields`: JSON, with what the scorers compare with."""

    case_id: str
    messages: tuple[PromptMessage, ...]
    fields: str


@contextmanager
def registry(settings: Settings) -> Iterator[RegistrySnapshot]:
    """The registry as it is now. Raises OperatorError, StreamError."""
    require_topic(settings, kafka_config(settings).topic(Topic.REGISTRY))
    with RegistryView(kafka_config(settings), Codec(catalog(settings))) as view:
        yield view.wait_loaded(TIMEOUT_S)


@contextmanager
def datasets(settings: Settings) -> Iterator[Datasets]:
    """What it takes to create some. Raises OperatorError, StreamError."""
    codec, kafka = Codec(catalog(settings)), kafka_config(settings)
    for topic in (Topic.REGISTRY, Topic.EVALUATION_DATASETS):
        require_topic(settings, kafka.topic(topic))
    with RegistryView(kafka, codec) as view, RegistryClient(kafka, codec, view) as client:
        view.wait_loaded(TIMEOUT_S)
        yield Datasets(kafka, codec, view, client)


def org_of(found: RegistrySnapshot, given: str | None, new: bool = False) -> str:
    """The organisation that is meant: the given one, or the only one. `new`: it may have nothing
    yet. Raises OperatorError."""
    orgs = sorted(
        {e.org_id for cls in (Organisation, Model, Suite, Dataset) for e in found.entities(cls)}
    )
    if given is not None:
        if given not in orgs:
            _check_unknown(given, orgs, new)
        return given
    if len(orgs) == 1:
        return orgs[0]
    there = f"The registry knows {', '.join(orgs)}." if orgs else "The registry knows none yet."
    raise OperatorError(f"Name the organisation with --org. {there}")


def _check_unknown(given: str, orgs: Sequence[str], new: bool) -> None:
    if orgs and not new:
        raise OperatorError(
            f"The registry knows no organisation {given}; it knows {', '.join(orgs)}."
        )
    try:
        _NAME.validate_python(given)
    except ValidationError as error:
        raise OperatorError(
            f"--org {given!r} is no name: it needs a character, at most {MAX_TEXT_BYTES}, and no "
            "slash among them."
        ) from error


def load(
    settings: Settings, org: str | None, author: str | None, say: Callable[[Done], None]
) -> str:
    """Installs what is not there yet of the standard suites, and says what became of each.

    Returns the organisation. Raises OperatorError, AgentError, StreamError.
    """
    with datasets(settings) as made:
        org_id = org_of(made.view.snapshot(), org, new=True)
        for done in load_with(made, org_id, Sender(author or getpass.getuser())):
            say(done)
    return org_id


def delete(
    settings: Settings,
    cls: type[V],
    org: str | None,
    reference: str,
    every: bool,
    author: str | None,
) -> list[V]:
    """Deletes one version, or every version of a name; all of them or none.

    Raises OperatorError when it is not clear which, AgentError when something needs one of them,
    StreamError.
    """
    kafka, codec = kafka_config(settings), Codec(catalog(settings))
    require_topic(settings, kafka.topic(Topic.EVALUATION_RUNS))
    with datasets(settings) as made, RunsView(kafka, codec) as runs:
        registry = made.view.snapshot()
        chosen = named(registry, cls, org_of(registry, org), reference)
        if len(chosen) > 1 and not every:
            there = ", ".join(name_of(each)[1] for each in chosen)
            raise OperatorError(
                f"{reference} has the versions {there}: name one, as {reference}@"
                f"{name_of(chosen[0])[1]}, or delete them all with --all."
            )
        known = runs.wait_loaded(TIMEOUT_S)
        for each in chosen:
            refuse_used(each, known, registry)
        changes = [Change("delete", each.key, None, None) for each in chosen]
        made.client.submit(changes, Sender(author or getpass.getuser()))
    return chosen


def preview(
    settings: Settings, org: str | None, reference: str, cases: int, case_id: str | None
) -> tuple[Suite, list[Preview]]:
    """The prompts of some cases of the suite's split.

    Raises OperatorError, AgentError, SinkError, StreamError.
    """
    with registry(settings) as found:
        suite = find(found, Suite, org_of(found, org), reference)
    reader = DatasetReader(ClickHouse(settings.clickhouse))
    given = reader.cases(suite.org_id, suite.dataset_id, suite.dataset_version, suite.split)
    shown: list[Preview] = []
    for case in given:
        if case_id is None or case.case_id == case_id:
            messages = render(suite, json.loads(case.fields))
            shown.append(Preview(case.case_id, messages, case.fields))
        if len(shown) >= (1 if case_id is not None else cases):
            break
    if not shown and case_id is not None:
        raise OperatorError(f"{suite.dataset_id} has no case {case_id} in this suite's split.")
    return suite, shown
