"""Which runs need a suite or a dataset. The registry agent does not know of runs: whoever takes a
wish to delete one asks here first. A deletion that comes by another way fails the run, with the
reason."""

from collections.abc import Iterator, Mapping

from agents.errors import CommandRefused
from agents.evaluation.planner.commands import ENDED
from schemas.commands import Problem
from schemas.evaluations import EvaluationRun
from schemas.suites import Dataset, Suite
from streams.registry_view import RegistrySnapshot


def refuse_used(
    entity: Suite | Dataset, runs: Mapping[str, EvaluationRun], registry: RegistrySnapshot
) -> None:
    """Raises CommandRefused when a run that is not over asks the suite or the dataset's cases."""
    problems = [
        Problem(
            0,
            entity.key,
            "",
            f"the evaluation {run.run_id} is {run.state} and needs it: cancel it, or wait until it "
            "is over",
        )
        for run in runs.values()
        if run.state not in ENDED and entity in _needed(run, registry)
    ]
    if problems:
        raise CommandRefused(problems)


def _needed(run: EvaluationRun, registry: RegistrySnapshot) -> Iterator[Suite | Dataset]:
    names = (run.spec.suite_id, run.spec.suite_version)
    suite = registry.entity(Suite, "/".join((run.org_id, Suite.kind, *names)))
    if suite is None:
        return
    yield suite
    names = (suite.dataset_id, suite.dataset_version)
    dataset = registry.entity(Dataset, "/".join((run.org_id, Dataset.kind, *names)))
    if dataset is not None:
        yield dataset
