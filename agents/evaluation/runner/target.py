"""Where a case is asked: its model's endpoint as the registry has it now. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from agents.evaluation.runner.adapters.base import Adapter
from agents.evaluation.runner.failures import CallFailed
from schemas.entities import Model
from schemas.evaluations import EvaluationCase
from schemas.models import Endpoint, RateLimits
from streams.registry_view import RegistrySnapshot


@dataclass(frozen=True, slots=True)
class Target:
    """A model that can be called."""

    key: str
    endpoint: Endpoint
    limits: RateLimits | None
    adapter: Adapter

    @property
    def base_url(self) -> str:
        return self.endpoint.base_url.rstrip("/")


def target_of(
    case: EvaluationCase, registry: RegistrySnapshot, adapters: Mapping[str, Adapter]
) -> Target:
    """Raises CallFailed when there is nothing to call."""
    key = f"{case.org_id}/{Model.kind}/{case.model_id}/{case.model_version}"
    model = registry.entity(Model, key)
    if model is None:
        if key in registry.deleted:
            raise CallFailed("model_deleted", f"{key} was deleted from the registry")
        raise CallFailed("not_found", f"the registry has no {key}")
    if model.endpoint is None:
        text = f"{key} has no endpoint: register its base_url and api_style"
        raise CallFailed("no_endpoint", text)
    adapter = adapters.get(model.endpoint.api_style)
    if adapter is None:
        known = ", ".join(sorted(adapters))
        text = f"{key}: no adapter for api_style {model.endpoint.api_style}; there are {known}"
        raise CallFailed("no_endpoint", text)
    return Target(key, model.endpoint, model.rate_limits, adapter)
