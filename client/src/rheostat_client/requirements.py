"""What a single request asks of the model that serves it."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from rheostat_client import rules
from rheostat_client.errors import InvalidValue
from rheostat_client.selections import Candidate

_LIMITS = {
    "min_quality": rules.Range(0, 1),
    "max_latency_p95_ms": rules.Range(0, rules.DAY_MS),
    "max_cost_usd": rules.Range(0, rules.COST_USD_MAX),
    "max_error_rate": rules.Range(0, 1),
}


@dataclass(frozen=True, slots=True)
class Requirements:
    """Limits on the measurements that came with the update, and models that may not serve.

    What is limited but not measured does not meet its limit, unless `allow_unmeasured`: that is
    for callers who would rather be served by a configured rule, which nobody measured, than not at
    all. Raises InvalidValue.
    """

    exclude_models: frozenset[str] = field(default_factory=frozenset)
    min_quality: float | None = None
    max_latency_p95_ms: float | None = None
    max_cost_usd: float | None = None
    max_error_rate: float | None = None
    allow_unmeasured: bool = False

    def __post_init__(self) -> None:
        excluded: object = self.exclude_models
        if isinstance(excluded, str):
            raise InvalidValue("exclude_models", "must be a set of model ids", excluded)
        object.__setattr__(self, "exclude_models", frozenset(self.exclude_models))
        for name, limits in _LIMITS.items():
            value = getattr(self, name)
            if value is not None:
                rules.number(name, value, limits)

    def unmet(self, candidate: Candidate) -> Iterator[str]:
        """Why the candidate may not serve this request; nothing when it may."""
        if candidate.model_id in self.exclude_models:
            yield "excluded by the request"
        yield from self._under("quality", candidate.quality, self.min_quality)
        yield from self._over("p95 latency (ms)", candidate.latency_p95_ms, self.max_latency_p95_ms)
        yield from self._over("mean cost (USD)", candidate.cost_usd_mean, self.max_cost_usd)
        yield from self._over("error rate", candidate.error_rate, self.max_error_rate)

    def _over(self, name: str, value: float | None, limit: float | None) -> Iterator[str]:
        if limit is None:
            return
        if value is None:
            if not self.allow_unmeasured:
                yield f"{name} is limited but not measured"
        elif value > limit:
            yield f"{name} {value:g} is above {limit:g}"

    def _under(self, name: str, value: float | None, limit: float | None) -> Iterator[str]:
        if limit is None:
            return
        if value is None:
            if not self.allow_unmeasured:
                yield f"{name} is limited but not measured"
        elif value < limit:
            yield f"{name} {value:g} is below {limit:g}"


NONE = Requirements()
