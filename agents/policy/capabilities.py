"""Which models can serve a capability: the vocabulary's hierarchy, features and levels. Pure.

A model that declares a capability serves everything below it: who masters `code` masters
`code/python`, not the other way round. Where the vocabulary does not know a word, only the very
same word matches.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from schemas.entities import Model, ModelCapability
from schemas.models import Level

LEVELS: Sequence[Level] = ("basic", "proficient", "advanced", "expert")
"""Lowest first."""
Vocabulary = Mapping[str, ModelCapability]
"""One organisation's capabilities by name."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """What is asked of a model. `min_level` None: any, even none declared."""

    capability: str
    features: frozenset[str] = frozenset()
    min_level: Level | None = None
    min_context_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """`declared`: what the model declares, the capability itself (exact) or an ancestor of it."""

    basis: Literal["exact", "ancestor"]
    declared: str
    level: Level | None


@dataclass(frozen=True, slots=True)
class NoMatch:
    """Everything that speaks against the model."""

    reasons: tuple[str, ...]


def lineage(capability: str, vocabulary: Vocabulary) -> tuple[str, ...]:
    """The capability, its parent, and so on up; without end only if the vocabulary were a ring."""
    found = [capability]
    while (word := vocabulary.get(found[-1])) is not None and word.parent is not None:
        if word.parent in found:
            break
        found.append(word.parent)
    return tuple(found)


def match(model: Model, wanted: Requirement, vocabulary: Vocabulary) -> Match | NoMatch:
    """Whether the model can do what is wanted. Its status is not looked at."""
    line = lineage(wanted.capability, vocabulary)
    declared = next((word for word in line if word in model.capabilities), None)
    reasons = []
    if declared is None:
        above = f" nor anything above it ({', '.join(line[1:])})" if line[1:] else ""
        reasons.append(f"does not declare {wanted.capability}{above}")
    needed = wanted.features.union(
        *(vocabulary[word].required_features for word in line if word in vocabulary)
    )
    missing = sorted(needed - set(model.features))
    if missing:
        reasons.append(f"lacks {', '.join(missing)}")
    level = model.level_of(declared) if declared is not None else None
    if wanted.min_level is not None and declared is not None and not _reaches(level, wanted):
        reasons.append(
            f"declares {level or 'no level'} for {declared}; {wanted.min_level} is asked for"
        )
    window, asked = model.context_window_tokens, wanted.min_context_tokens
    if asked is not None and (window is None or window < asked):
        shown = "an unknown" if window is None else f"a {window}-token"
        reasons.append(f"has {shown} context window; {asked} tokens are asked for")
    if declared is None or reasons:
        return NoMatch(tuple(reasons))
    return Match("exact" if declared == wanted.capability else "ancestor", declared, level)


def _reaches(level: Level | None, wanted: Requirement) -> bool:
    if wanted.min_level is None:
        return True
    return level is not None and LEVELS.index(level) >= LEVELS.index(wanted.min_level)
