"""What a run's plan is made of, from the registry. Pure."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from agents.errors import AgentError
from agents.evaluation.judges import BYTES_PER_TOKEN, CallsUnknown, Judge, calls, judge_model
from agents.evaluation.planner.supply import Want
from agents.evaluation.prices import price_at
from agents.evaluation.render import TemplateInvalid, templates, variables
from agents.evaluation.runner.adapters import styles
from schemas.entities import Model
from schemas.evaluations import EvaluationRun, RunModel, RunSpec
from schemas.suites import Dataset, Suite
from streams.registry_view import RegistrySnapshot

PLACES_MAX = 10_000_000


class RunImpossible(AgentError):
    """Why a run cannot be planned, whatever is waited for."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A run's suite, and how many cases and epochs it has. `parameters`: of the request's body.

    `judges`: the models that its scorers ask, as they are now.
    """

    suite: Suite
    want: Want
    epochs: int
    parameters: Mapping[str, Any]
    judges: Mapping[Judge, Model | None]

    @property
    def output_tokens_max(self) -> int | None:
        """The most tokens that are asked for."""
        most = self.parameters.get("max_tokens")
        return most if isinstance(most, int) else None

    def answer_bytes_max(self, model: Model) -> int:
        """What no answer that is worth judging is longer than; 0 without a limit of its tokens,
        when nothing bounds the case anyway."""
        limits = [n for n in (self.output_tokens_max, model.max_output_tokens) if n is not None]
        return BYTES_PER_TOKEN * min(limits, default=0)

    def parameters_of(self, epoch: int) -> str:
        """As JSON. Each epoch has a seed of its own: with the same it would answer the same."""
        seed = self.parameters.get("seed")
        own = {"seed": seed + epoch} if isinstance(seed, int) else {}
        return json.dumps({**self.parameters, **own})


def plan(run: EvaluationRun, registry: RegistrySnapshot, now: datetime) -> Plan:
    """Raises RunImpossible."""
    suite, dataset = _suite(run.org_id, run.spec, registry)
    split = suite.split if run.spec.split is None else run.spec.split
    cases = _cases(dataset, split)
    if run.spec.cases_max is not None:
        cases = min(cases, run.spec.cases_max)
    epochs = run.spec.epochs or suite.epochs
    if cases * epochs * len(run.spec.models) > PLACES_MAX:
        raise RunImpossible(f"more than {PLACES_MAX:,} cases x epochs x models: ask for fewer")
    want = Want(
        run.run_id,
        run.org_id,
        dataset.dataset_id,
        dataset.dataset_version,
        split,
        cases,
        run.spec.rescore_of,
    )
    judges = _judges(suite, registry, now)
    return Plan(suite, want, epochs, request_parameters(suite), judges)


def check(org_id: str, spec: RunSpec, registry: RegistrySnapshot, now: datetime) -> None:
    """Raises RunImpossible when a run should not be started."""
    suite, dataset = _suite(org_id, spec, registry)
    split = suite.split if spec.split is None else spec.split
    _cases(dataset, split)
    if len(set(spec.models)) < len(spec.models):
        raise RunImpossible("a model is named twice")
    known = set(dataset.fields)
    try:
        asked = {name for m in templates(suite) for name in variables(m.content)}
    except TemplateInvalid as error:
        raise RunImpossible(f"a template of {suite.suite_id} is wrong: {error}") from error
    if missing := asked - known:
        raise RunImpossible(
            f"the template of {suite.suite_id} names {_named(missing)}, which not every case of "
            f"{dataset.dataset_id} has; every case has {_named(known)}"
        )
    for chosen in spec.models:
        _check_model(org_id, chosen, spec, suite, registry, now)
    judges = _judges(suite, registry, now)
    if spec.budget_usd is not None:
        for (judge, version), model in judges.items():
            if model is not None and price_at(model, now) is None:
                name = f"{judge} {version or model.model_version}"
                raise RunImpossible(
                    f"the judge {name} has no price now, so that no budget can be kept"
                )


def check_budget(
    run: EvaluationRun, budget_usd: float, registry: RegistrySnapshot, now: datetime
) -> None:
    """Raises RunImpossible when a run could not go on with this budget."""
    if run.unpriced:
        raise RunImpossible(cost_unknown(run))
    check(run.org_id, replace(run.spec, budget_usd=budget_usd), registry, now)


def cost_unknown(run: EvaluationRun) -> str:
    """Why a run with results without a price can keep no budget."""
    return (
        f"nobody knows what {run.unpriced:,} of its results cost, as a model or judge had no price "
        "when they came; register prices and start another run"
    )


def _judges(
    suite: Suite, registry: RegistrySnapshot, now: datetime
) -> Mapping[Judge, Model | None]:
    """Raises RunImpossible."""
    try:
        asked = {call.judge for call in calls(suite.scorers, {})}
    except CallsUnknown as error:
        raise RunImpossible(str(error)) from error
    return {judge: judge_model(registry, suite.org_id, judge, now) for judge in asked}


def _check_model(
    org_id: str,
    chosen: RunModel,
    spec: RunSpec,
    suite: Suite,
    registry: RegistrySnapshot,
    now: datetime,
) -> None:
    model = model_of(org_id, chosen, registry)
    name = f"{chosen.model_id} {chosen.model_version}"
    if model is None:
        raise RunImpossible(f"there is no model {name}")
    if model.status_at(now) == "retired":
        raise RunImpossible(f"{name} is retired")
    if spec.rescore_of is not None:
        return
    if model.endpoint is None:
        raise RunImpossible(f"{name} has no endpoint to call: add one to the registry")
    if model.endpoint.api_style not in styles():
        raise RunImpossible(
            f"no adapter speaks the api_style {model.endpoint.api_style!r} of {name}; there are "
            f"{', '.join(styles())}"
        )
    if spec.budget_usd is None:
        return
    if price_at(model, now) is None:
        raise RunImpossible(f"{name} has no price now, so that no budget can be kept")
    most = request_parameters(suite).get("max_tokens")
    if not isinstance(most, int) and model.max_output_tokens is None:
        raise RunImpossible(
            f"a budget needs the most tokens that {name} may answer with: set "
            "max_output_tokens of the suite's parameters, or of the model"
        )


def request_parameters(suite: Suite) -> dict[str, Any]:
    """Fields of the request's body, by the names of OpenAI's interface."""
    asked = suite.parameters
    known = {
        "temperature": asked.temperature,
        "top_p": asked.top_p,
        "max_tokens": asked.max_output_tokens,
        "seed": asked.seed,
        "stop": list(asked.stop) or None,
    }
    return {
        **{name: value for name, value in known.items() if value is not None},
        **json.loads(asked.extra),
    }


def model_of(org_id: str, chosen: RunModel, registry: RegistrySnapshot) -> Model | None:
    """The model as it is registered now."""
    key = f"{org_id}/{Model.kind}/{chosen.model_id}/{chosen.model_version}"
    return registry.entity(Model, key)


def _suite(org_id: str, spec: RunSpec, registry: RegistrySnapshot) -> tuple[Suite, Dataset]:
    key = f"{org_id}/{Suite.kind}/{spec.suite_id}/{spec.suite_version}"
    suite = registry.entity(Suite, key)
    if suite is None:
        raise RunImpossible(f"there is no suite {spec.suite_id} {spec.suite_version}")
    name = f"{suite.dataset_id} {suite.dataset_version}"
    key = f"{org_id}/{Dataset.kind}/{suite.dataset_id}/{suite.dataset_version}"
    dataset = registry.entity(Dataset, key)
    if dataset is None:
        raise RunImpossible(f"the suite's dataset {name} does not exist")
    return suite, dataset


def _cases(dataset: Dataset, split: str | None) -> int:
    """How many cases the split has; None: all. Raises RunImpossible when there is none."""
    name = f"{dataset.dataset_id} {dataset.dataset_version}"
    if split is None:
        found = dataset.cases
    else:
        counts = {each.split: each.cases for each in dataset.splits}
        if split not in counts:
            raise RunImpossible(
                f"the dataset {name} has no split {split or repr(split)}; it has {_named(counts)}"
            )
        found = counts[split]
    if not found:
        raise RunImpossible(f"the dataset {name} has no case")
    return found


def _named(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"
