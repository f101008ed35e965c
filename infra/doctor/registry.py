"""What the registry holds, whether it fits together, and the schema registry if there is one."""

from collections.abc import Iterator

import httpx

from agents.policy.capabilities import Match, Requirement, Vocabulary, match
from infra.configuration import hidden
from infra.doctor.finding import Finding, counted, hint, ok, problem
from infra.errors import NotReachable, OperatorError
from infra.settings import Settings
from infra.workers import catalog, kafka_config
from schemas.entities import AbTest, Model, ModelCapability, SelectionPolicy
from schemas.wire import Codec
from streams.registry_view import RegistrySnapshot, RegistryView

TIMEOUT_S = 10.0
APPLY = "Correct it in your registry file and run: rheostat registry apply FILE.yaml"


def registry(settings: Settings) -> Iterator[Finding]:
    """Whether the registry can be read, and what is wrong with it."""
    with RegistryView(kafka_config(settings), Codec(catalog(settings))) as view:
        snapshot = view.wait_loaded(TIMEOUT_S)
    yield from judge(snapshot)


def judge(snapshot: RegistrySnapshot) -> Iterator[Finding]:
    """Whether models, tests and policies fit together. Pure."""
    models = [f.entity for f in snapshot.models.values() if isinstance(f.entity, Model)]
    tests = [f.entity for f in snapshot.ab_tests.values() if isinstance(f.entity, AbTest)]
    policies = [
        f.entity for f in snapshot.policies.values() if isinstance(f.entity, SelectionPolicy)
    ]
    yield ok(
        "registry",
        f"{counted(len(models), 'model')}, {counted(len(tests), 'A/B test')}, "
        f"selection policies: {len(policies)}",
    )
    if not models:
        yield hint(
            "registry",
            "no model is registered",
            "calls are counted, but not priced, compared or selected",
            "Run: rheostat registry apply FILE.yaml  (docs/registry-file.md)",
        )
    unpriced = [m for m in models if not m.prices and m.status == "active"]
    if unpriced:
        names = ", ".join(f"{m.org_id}/{m.model_id} {m.model_version}" for m in unpriced[:5])
        yield hint(
            "registry",
            f"active models without a price: {names}{', ...' * (len(unpriced) > 5)}",
            "their calls have a cost only where the event carries one",
            APPLY,
        )
    known = {(m.org_id, m.model_id) for m in models}
    for test in tests:
        for arm in test.arms:
            if (test.org_id, arm.model_id) not in known:
                yield problem(
                    "registry",
                    f"A/B test {test.org_id}/{test.ab_test_id}: arm {arm.arm} names the model "
                    f"{arm.model_id}, which is not registered",
                    "its calls are not priced, so the arms cannot be compared on cost",
                    APPLY,
                )
    for policy in policies:
        words = [c for c in snapshot.entities(ModelCapability) if c.org_id == policy.org_id]
        yield from _policy(policy, models, {c.capability: c for c in words})


def _policy(
    policy: SelectionPolicy, models: list[Model], vocabulary: Vocabulary
) -> Iterator[Finding]:
    name = f"policy {policy.org_id}/{policy.capability}"
    own = [m for m in models if m.org_id == policy.org_id]
    wanted = Requirement(policy.capability)
    able = [m for m in own if isinstance(match(m, wanted, vocabulary), Match)]
    if not any(m.status == "active" for m in able):
        yield problem(
            "registry",
            f"{name}: no active model has that capability",
            "there is nothing to select, so callers get no recommendation",
            APPLY,
        )
    for model_id in policy.fallback:
        if model_id not in {m.model_id for m in own}:
            yield problem(
                "registry",
                f"{name}: the fallback {model_id} is not registered",
                "it cannot be chosen when data is short, which is what it is for",
                APPLY,
            )


def schema_registry(settings: Settings) -> Iterator[Finding]:
    """Whether the schema registry answers, if one is configured."""
    if settings.schema_registry_url is None:
        yield ok("schemas", "no schema registry configured; ids of schemas/ids.json")
        return
    url = settings.schema_registry_url.get_secret_value()
    place = hidden(url)
    try:
        answer = httpx.get(f"{url.rstrip('/')}/subjects", timeout=TIMEOUT_S)
        answer.raise_for_status()
        subjects = answer.json()
    except httpx.HTTPStatusError as error:
        raise OperatorError(
            f"the schema registry at {place} answers {error.response.status_code}. Correct "
            "RHEOSTAT_SCHEMA_REGISTRY_URL, with user:password@ if it wants them."
        ) from error
    except (httpx.HTTPError, ValueError) as error:
        raise NotReachable(
            f"the schema registry at {place} does not answer: {error}. Start it, or correct "
            "RHEOSTAT_SCHEMA_REGISTRY_URL."
        ) from error
    yield ok("schemas", f"schema registry {place} answers: {len(subjects)} subjects")
