"""The configured rules: who serves when nothing is known, the last resort of every choice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rheostat_client import rules
from rheostat_client.errors import InvalidValue
from rheostat_client.events import UNVERSIONED
from rheostat_client.selections import Candidate

_WEIGHT = rules.Range(0, 1e12, above=True)


@dataclass(frozen=True, slots=True)
class Rule:
    """One model of a capability's rules. Give all of a capability a weight, or none.

    With weights they share the traffic; without, the first that meets the requirements serves all.
    """

    model_id: str
    model_version: str = UNVERSIONED
    weight: float | None = None


Rules = Mapping[str, Sequence[Rule]]
"""Capability -> its rules."""


def checked(given: Rules) -> dict[str, tuple[Candidate, ...]]:
    """The rules as candidates that nobody measured; weight 0: in order. Raises InvalidValue."""
    return {rules.text("capability", name): _candidates(name, given[name]) for name in given}


def _candidates(capability: str, given: Sequence[Rule]) -> tuple[Candidate, ...]:
    field = f"rules of {capability}"
    if not given or not all(isinstance(rule, Rule) for rule in given):
        raise InvalidValue(field, "must be one or more Rule", given)
    weighted = [rule for rule in given if rule.weight is not None]
    if weighted and len(weighted) != len(given):
        raise InvalidValue(field, "must all have a weight, or none", given)
    if len({(rule.model_id, rule.model_version) for rule in given}) != len(given):
        raise InvalidValue(field, "must not name a model twice", given)
    return tuple(
        Candidate(
            model_id=rules.text("model_id", rule.model_id),
            model_version=rules.text("model_version", rule.model_version),
            rank=rank,
            weight=0.0 if rule.weight is None else rules.number("weight", rule.weight, _WEIGHT),
            eligible=True,
            reasons=(f"number {rank} of the configured rules",),
        )
        for rank, rule in enumerate(given, 1)
    )
