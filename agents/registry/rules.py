"""What an accepted change has to respect besides the entity itself: its past and its neighbours.

Pure. The registry that rules see is the one after all changes of the command, so that their order
within a command does not matter.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime

from agents.evaluation.render import variables
from agents.policy.promotion import why_not
from agents.registry.validity import shown, templates_of, unknown_style
from schemas.entities import (
    AbTest,
    Alias,
    ApiKey,
    Entity,
    Model,
    ModelCapability,
    Organisation,
    User,
)
from schemas.records import AbVerdict, RegistryFact
from schemas.suites import Dataset, Suite
from streams.registry_view import RegistrySnapshot

Broken = tuple[str, str]
"""A field and what is wrong with its new value."""
Verdicts = Mapping[tuple[str, str], AbVerdict]
"""The latest by (org_id, ab_test_id)."""

CHAMPION = "champion"
FROZEN_MODEL = (
    "provider",
    "modality",
    "context_window_tokens",
    "max_output_tokens",
    "features",
)
"""What a call to a version does. The endpoint too, apart from where its secret is kept."""
FROZEN_TEST = (
    "capability",
    "unit",
    "arms",
    "baseline",
    "metrics",
    "alpha",
    "planned_n",
    "mode",
    "analysis",
    "covariate",
    "pre_period_days",
    "spending",
)
"""What the statistics of an A/B test rest on."""
FROZEN_KEY = ("role", "secret_sha256", "created_at", "user_id")


@dataclass(frozen=True, slots=True)
class World:
    """What rules may look at: the registry after the command, the latest verdicts, the time, and
    the styles of endpoints that can be called."""

    registry: RegistrySnapshot
    verdicts: Verdicts
    now: datetime
    styles: Collection[str]


def broken(before: RegistryFact | None, after: RegistryFact, world: World) -> Iterator[Broken]:
    """Every rule that the change breaks. `before`: the key's last fact, be it a deletion."""
    past, entity = None if before is None else before.entity, after.entity
    if after.deleted:
        yield from _still_needed(entity, world.registry)
    elif isinstance(entity, Model):
        yield from _model(past, entity)
        yield from ((shown(at), text) for at, text in unknown_style(past, entity, world.styles))
    elif isinstance(entity, Alias):
        yield from _alias(past, entity, world)
    elif isinstance(entity, AbTest):
        yield from _ab_test(past, entity)
    elif isinstance(entity, ModelCapability):
        yield from _capability(entity, world.registry)
    elif isinstance(entity, ApiKey):
        yield from _api_key(past, entity, world.registry)
    elif isinstance(entity, User):
        yield from _user(entity, world.registry)
    elif isinstance(entity, Dataset):
        yield from _immutable(past, entity)
    elif isinstance(entity, Suite):
        yield from _immutable(past, entity)
        yield from unmet(entity, world.registry)


def _model(past: Entity | None, model: Model) -> Iterator[Broken]:
    if not isinstance(past, Model) or past.status == "draft":
        return
    why = f"version {model.model_version} has been active and cannot change: register a new version"
    yield from _changed(past, model, FROZEN_MODEL, why)
    if _address(past) != _address(model):
        yield "endpoint", why
    if model.status == "draft":
        yield "status", "a version that has been active cannot be a draft again"


def _address(model: Model) -> tuple[str, str] | None:
    endpoint = model.endpoint
    return None if endpoint is None else (endpoint.base_url, endpoint.api_style)


def _alias(past: Entity | None, alias: Alias, world: World) -> Iterator[Broken]:
    registry = world.registry
    key = f"{alias.org_id}/{Model.kind}/{alias.model_id}/{alias.model_version}"
    target = registry.entity(Model, key)
    if target is None:
        yield "model_version", f"{alias.model_id} has no version {alias.model_version}"
        return
    if alias.alias != CHAMPION:
        return
    status = target.status_at(world.now)
    if status not in ("active", "deprecated"):
        yield "model_version", f"a version that is {status} cannot be champion: activate it first"
    moved = isinstance(past, Alias) and past.model_version != alias.model_version
    if moved and _requires_verdict(alias.org_id, registry):
        test = registry.entity(AbTest, f"{alias.org_id}/{AbTest.kind}/{alias.ab_test_id}")
        verdict = world.verdicts.get((alias.org_id, alias.ab_test_id or ""))
        reason = why_not(alias, test, verdict)
        if reason is not None:
            yield "ab_test_id", reason


def _requires_verdict(org_id: str, registry: RegistrySnapshot) -> bool:
    organisation = registry.entity(Organisation, Organisation(org_id).key)
    return organisation is not None and organisation.promotion_requires_verdict


def _ab_test(past: Entity | None, test: AbTest) -> Iterator[Broken]:
    if not isinstance(past, AbTest) or past.status == "draft":
        return
    why = "the test has run, and its statistics rest on this: start another test"
    if past.allocation.method != "fixed":
        # Weights follow the results; who gets them stays.
        weights = {arm.arm: arm.weight for arm in test.arms}
        arms = tuple(replace(a, weight=weights.get(a.arm, a.weight)) for a in past.arms)
        past = replace(past, arms=arms)
    yield from _changed(past, test, FROZEN_TEST, why)
    if test.status == "draft":
        yield "status", "a test that has run cannot be a draft again"


def _capability(capability: ModelCapability, registry: RegistrySnapshot) -> Iterator[Broken]:
    seen, above = {capability.capability}, capability.parent
    while above is not None:
        if above in seen:
            yield "parent", f"{above!r} is below {capability.capability!r} already"
            return
        seen.add(above)
        found = registry.entity(ModelCapability, ModelCapability(capability.org_id, above).key)
        if found is None:
            yield "parent", f"there is no capability {above!r}"
            return
        above = found.parent


def _api_key(past: Entity | None, key: ApiKey, registry: RegistrySnapshot) -> Iterator[Broken]:
    for other in registry.entities(ApiKey):
        if other.key_id == key.key_id and other.org_id != key.org_id:
            yield "key_id", "is taken"
    if isinstance(past, ApiKey):
        yield from _changed(past, key, FROZEN_KEY, "of a key cannot change: create another")
        if past.revoked_at is not None and key.revoked_at != past.revoked_at:
            yield "revoked_at", "a revoked key stays revoked: create another"


def _user(user: User, registry: RegistrySnapshot) -> Iterator[Broken]:
    if user.subject is None:
        return
    for other in registry.entities(User):
        if other.subject == user.subject and other.key != user.key:
            yield "subject", "belongs to another user"


def _immutable(past: Entity | None, entity: Dataset | Suite) -> Iterator[Broken]:
    """Results of long ago name the version: it has to mean the same for ever."""
    if type(past) is type(entity):
        names = [field.name for field in fields(entity)]
        why = f"a version of a {entity.kind} never changes: create a new version"
        yield from _changed(past, entity, names, why)


def unmet(suite: Suite, registry: RegistrySnapshot) -> Iterator[Broken]:
    """What a suite needs of its dataset and does not find there."""
    name = f"{suite.dataset_id} {suite.dataset_version}"
    key = f"{suite.org_id}/{Dataset.kind}/{suite.dataset_id}/{suite.dataset_version}"
    dataset = registry.entity(Dataset, key)
    if dataset is None:
        yield "dataset_version", f"{suite.org_id} has no dataset {name}: import it first"
        return
    splits = [split.split for split in dataset.splits]
    if suite.split is not None and suite.split not in splits:
        there = f"its splits: {', '.join(splits)}" if splits else "it has no splits"
        yield "split", f"the dataset {name} has no split {suite.split!r}; {there}"
    for path, message in templates_of(suite):
        for variable in variables(message.content):
            if variable not in dataset.fields:
                there = ", ".join(dataset.fields) or "none"
                yield (
                    shown((*path, "content")),
                    f"not every case of {name} has a field {variable!r}; all have: {there}",
                )


def _still_needed(entity: Entity, registry: RegistrySnapshot) -> Iterator[Broken]:
    """What refers to an entity that is being deleted."""
    if isinstance(entity, Model):
        for alias in registry.entities(Alias):
            if _points_to(alias, entity):
                yield "", f"is the model's {alias.alias}: move or delete the alias first"
        yield from _running_tests(entity, registry)
    elif isinstance(entity, ModelCapability):
        for below in registry.entities(ModelCapability):
            if (below.org_id, below.parent) == (entity.org_id, entity.capability):
                yield "", f"is the parent of {below.capability!r}"
    elif isinstance(entity, Dataset):
        for suite in registry.entities(Suite):
            asks = (suite.org_id, suite.dataset_id, suite.dataset_version)
            if asks == (entity.org_id, entity.dataset_id, entity.dataset_version):
                yield "", f"the suite {suite.suite_id} {suite.suite_version} asks its cases"
    elif isinstance(entity, Suite):
        for test in registry.entities(AbTest):
            asks = (test.org_id, test.suite_id or "", test.suite_version or "")
            if asks == (entity.org_id, entity.suite_id, entity.suite_version):
                yield "", f"the A/B test {test.ab_test_id} runs on it"


def _points_to(alias: Alias, model: Model) -> bool:
    named = (alias.org_id, alias.model_id, alias.model_version)
    return named == (model.org_id, model.model_id, model.model_version)


def _running_tests(model: Model, registry: RegistrySnapshot) -> Iterator[Broken]:
    """Tests that would lose an arm: they name the version, or it is the model's last."""
    last = not any(
        key.startswith(f"{model.org_id}/{Model.kind}/{model.model_id}/") for key in registry.models
    )
    for test in registry.entities(AbTest):
        if test.org_id == model.org_id and test.status == "running":
            for arm in test.arms:
                named = arm.model_version == model.model_version
                if arm.model_id == model.model_id and (named or (last and not arm.model_version)):
                    yield "", f"serves the arm {arm.arm} of {test.ab_test_id}, which is running"


def _changed(past: Entity, now: Entity, fields: Sequence[str], why: str) -> Iterator[Broken]:
    for name in fields:
        if getattr(past, name) != getattr(now, name):
            yield name, why
