"""Installs the standard suites for an organisation: as often as you like, with the same end."""

from collections.abc import Iterator
from dataclasses import dataclass

from agents.evaluation.datasets.create import Datasets
from agents.evaluation.suites.standard import standard
from agents.registry.apply import apply_with
from agents.registry.client import Sender


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one dataset or suite. `note`: such as its number of cases."""

    outcome: str
    kind: str
    name: str
    version: str
    note: str = ""


def load(made: Datasets, org_id: str, sender: Sender) -> Iterator[Done]:
    """Makes what is not there yet, and says what became of each.

    Raises AgentError, StreamError.
    """
    chosen = standard(org_id)
    for prepared in chosen.datasets:
        created = made.create(prepared.draft, prepared.cases, sender)
        found = created.dataset
        note = f"{found.cases} cases"
        yield Done(created.outcome, "dataset", found.dataset_id, found.dataset_version, note)
    applied = apply_with(made.client, made.view, chosen.suites, made.codec, sender)
    for suite, result in zip(chosen.suites, applied, strict=True):
        note = f"{suite.capability}: {', '.join(use.scorer for use in suite.scorers)}"
        yield Done(result.outcome, "suite", suite.suite_id, suite.suite_version, note)
