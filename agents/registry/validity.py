"""What types cannot say about one entity: fields that contradict each other. Pure."""

import json
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise

from agents.evaluation.render import TemplateInvalid, variables
from schemas.access import OPERATORS
from schemas.entities import (
    AbTest,
    ApiKey,
    Entity,
    KeyUse,
    Model,
    ModelCapability,
    Organisation,
    SelectionPolicy,
    User,
)
from schemas.suites import Dataset, PromptMessage, Suite

Path = tuple[str | int, ...]
Contradiction = tuple[Path, str]
"""Where it stands inside the entity, and what is wrong."""


def contradictions(entity: Entity) -> Iterator[Contradiction]:
    """Each makes the entity unusable, whatever else the registry holds."""
    if isinstance(entity, Model):
        yield from _model(entity)
    elif isinstance(entity, AbTest):
        yield from _ab_test(entity)
    elif isinstance(entity, SelectionPolicy):
        yield from _policy(entity)
    elif isinstance(entity, ModelCapability):
        if entity.parent == entity.capability:
            yield ("parent",), "is the capability itself"
        yield from _once(("required_features",), entity.required_features)
    elif isinstance(entity, Dataset):
        yield from _dataset(entity)
    elif isinstance(entity, Suite):
        yield from _suite(entity)
    yield from _operators(entity)


def shown(path: Path) -> str:
    """A path as people write it: models[0].prices[1].valid_from."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _model(model: Model) -> Iterator[Contradiction]:
    for i, (before, price) in enumerate(pairwise(model.prices), 1):
        if price.valid_from <= before.valid_from:
            where = ("prices", i, "valid_from")
            yield where, "prices must be in order of time, each valid_from once"
        elif before.valid_to is not None and before.valid_to > price.valid_from:
            yield ("prices", i - 1, "valid_to"), "must not lie after the next price's valid_from"
    for i, price in enumerate(model.prices):
        if price.valid_to is not None and price.valid_to <= price.valid_from:
            yield ("prices", i, "valid_to"), "must lie after valid_from"
    if not model.capabilities:
        yield ("capabilities",), "must name at least one capability"
    yield from _once(("capabilities",), model.capabilities)
    yield from _once(("features",), model.features)
    yield from _once(("tags",), model.tags)
    yield from _once(("levels",), [item.capability for item in model.levels])
    for i, item in enumerate(model.levels):
        if item.capability not in model.capabilities:
            yield ("levels", i, "capability"), f"{item.capability!r} is none of its capabilities"
    window, output = model.context_window_tokens, model.max_output_tokens
    if window is not None and output is not None and output > window:
        yield ("max_output_tokens",), f"exceeds the context window of {window}"


def unknown_style(
    past: Entity | None, model: Model, styles: Collection[str]
) -> Iterator[Contradiction]:
    """An endpoint that no adapter speaks with; `past`, where that stood already, is left alone."""
    endpoint = model.endpoint
    before = past.endpoint if isinstance(past, Model) else None
    if endpoint is None or endpoint.api_style in styles:
        return
    if before is None or before.api_style != endpoint.api_style:
        known = ", ".join(styles)
        text = f"no adapter speaks {endpoint.api_style!r}; there are {known}"
        yield ("endpoint", "api_style"), text


def _ab_test(test: AbTest) -> Iterator[Contradiction]:
    arms = [arm.arm for arm in test.arms]
    yield from _once(("arms",), arms, "arms must have different names")
    if test.baseline not in arms:
        yield ("baseline",), f"{test.baseline!r} is none of the arms: {', '.join(arms)}"
    yield from _once(("metrics",), [goal.metric for goal in test.metrics])
    if not any(goal.role == "primary" for goal in test.metrics):
        yield ("metrics",), "one metric must have the role primary"
    if test.spending is not None:
        if test.mode == "offline":
            yield ("spending",), "an offline test is looked at once, when its cases are finished"
        if test.spending.looks > test.planned_n:
            yield ("spending", "looks"), f"are more than planned_n, {test.planned_n}"


def _policy(policy: SelectionPolicy) -> Iterator[Contradiction]:
    weights = policy.weights
    if not weights.quality + weights.cost_usd + weights.latency_ms + weights.error:
        yield ("weights",), "at least one weight must be above 0"
    yield from _once(("fallback",), policy.fallback)


def _dataset(dataset: Dataset) -> Iterator[Contradiction]:
    yield from _once(("fields",), dataset.fields)
    yield from _once(("splits",), [split.split for split in dataset.splits])
    in_splits = sum(split.cases for split in dataset.splits)
    if in_splits > dataset.cases:
        yield ("splits",), f"hold {in_splits} cases, the dataset {dataset.cases}"


def templates_of(suite: Suite) -> Iterator[tuple[Path, PromptMessage]]:
    """Every template with its place."""
    for name, messages in (("prompt", suite.prompt), ("examples", suite.examples)):
        for i, message in enumerate(messages):
            yield (name, i), message


def _suite(suite: Suite) -> Iterator[Contradiction]:
    for path, message in templates_of(suite):
        try:
            variables(message.content)
        except TemplateInvalid as error:
            yield (*path, "content"), str(error)
    for i, message in enumerate(suite.examples):
        if message.role == "system":
            yield ("examples", i, "role"), "examples are turns of user and assistant"
    if all(message.role == "system" for message in suite.prompt):
        yield ("prompt",), "must hold a message of the user"
    for i, use in enumerate(suite.scorers):
        if (text := _no_object(use.options)) is not None:
            yield ("scorers", i, "options"), text
    if (text := _no_object(suite.parameters.extra)) is not None:
        yield ("parameters", "extra"), text
    yield from _once(("scorers",), [use.metric or use.scorer for use in suite.scorers])
    if not any(use.weight for use in suite.scorers):
        yield ("scorers",), "at least one must have a weight above 0"
    yield from _reducer(suite)


def _reducer(suite: Suite) -> Iterator[Contradiction]:
    k, needs_k = suite.reducer_k, suite.reducer in ("pass_at_k", "pass_k")
    if needs_k and k is None:
        yield ("reducer_k",), f"{suite.reducer} needs it"
    elif not needs_k and k is not None:
        yield ("reducer_k",), f"{suite.reducer} has no k"
    elif k is not None and k > suite.epochs:
        yield ("reducer_k",), f"exceeds the {suite.epochs} epochs"


def _no_object(text: str) -> str | None:
    """Why the text is no JSON object, None when it is one."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        return f"is not JSON: {error}"
    return None if isinstance(value, dict) else "must be a JSON object"


def _operators(entity: Entity) -> Iterator[Contradiction]:
    """Operators, and nobody and nothing else, belong to no organisation."""
    if entity.org_id == OPERATORS and not isinstance(entity, User | ApiKey | KeyUse):
        yield ("org_id",), f"{OPERATORS!r} is reserved for operators"
    if isinstance(entity, Organisation) and entity.org_id in (".", ".."):
        yield ("org_id",), "cannot be part of an address"
    if isinstance(entity, User | ApiKey):
        operator = entity.role == "operator"
        if operator and entity.org_id != OPERATORS:
            yield ("role",), f"an operator has the org_id {OPERATORS!r}, not {entity.org_id!r}"
        if not operator and entity.org_id == OPERATORS:
            yield ("role",), f"with the org_id {OPERATORS!r} it must be operator"


def _once(
    path: Path, names: Sequence[str], text: str = "is given twice"
) -> Iterator[Contradiction]:
    for i, name in enumerate(names):
        if name in names[:i]:
            yield (*path, i), f"{name!r}: {text}"
