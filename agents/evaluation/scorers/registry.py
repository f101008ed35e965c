"""Scorers by name: ours, and others' from entry points of the group `rheostat.scorers`.

An entry point names a `Scorer` or `AskingScorer`; its own name is the one that suites use:

    [project.entry-points."rheostat.scorers"]
    cites_a_source = "my_scorers:cites_a_source"
"""

from functools import cache
from importlib import import_module
from importlib.metadata import entry_points

from agents.errors import AgentError
from agents.evaluation.scorers.base import AnyScorer, AskingScorer, Scorer

GROUP = "rheostat.scorers"
_HERE = "agents.evaluation.scorers"
OURS = {
    "exact_match": "matches:EXACT",
    "normalised_match": "matches:NORMALISED",
    "f1": "matches:F1",
    "regex": "patterns:REGEX",
    "numeric": "numbers:NUMERIC",
    "multiple_choice": "choices:MULTIPLE_CHOICE",
    "json_schema": "json_schema:JSON_SCHEMA",
    "classification": "labels:CLASSIFICATION",
    "bleu": "translation:BLEU_SCORE",
    "chrf": "translation:CHRF_SCORE",
    "rouge": "summaries:ROUGE",
    "code_execution": "execution:CODE_EXECUTION",
    "semantic_similarity": "similarity:SEMANTIC_SIMILARITY",
    "llm_judge": "judging:LLM_JUDGE",
    "length": "text_measures:LENGTH",
    "readability": "text_measures:READABILITY",
}
"""Where each scorer lives: modules load when they are first used."""


class UnknownScorer(AgentError):
    """No scorer has this name."""


class BrokenScorer(AgentError):
    """An entry point cannot be used. The text says which and why."""


@cache
def names() -> tuple[str, ...]:
    """Every scorer that a suite may name."""
    return tuple(sorted(OURS | {point.name: "" for point in entry_points(group=GROUP)}))


@cache
def scorer(name: str) -> AnyScorer:
    """The scorer of that name. Raises UnknownScorer or BrokenScorer."""
    if name in OURS:
        module, _, attribute = OURS[name].partition(":")
        found = getattr(import_module(f"{_HERE}.{module}"), attribute)
        assert isinstance(found, Scorer | AskingScorer)
        return found
    points = [point for point in entry_points(group=GROUP) if point.name == name]
    if not points:
        raise UnknownScorer(f"there is no scorer {name!r}; known are {', '.join(names())}")
    if len({point.value for point in points}) > 1:
        where = " and ".join(sorted(point.value for point in points))
        raise BrokenScorer(f"the scorer {name!r} is declared by several packages: {where}")
    return _load(name, points[0].value)


def _load(name: str, value: str) -> AnyScorer:
    module, _, attribute = value.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except Exception as error:  # whatever other people's modules raise when they load
        raise BrokenScorer(
            f"the scorer {name!r} ({value}) does not load: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(found, Scorer | AskingScorer):
        raise BrokenScorer(
            f"the scorer {name!r} ({value}) is a {type(found).__name__}, not a Scorer or "
            "AskingScorer of agents.evaluation.scorers.base"
        )
    if found.name != name:
        raise BrokenScorer(f"the scorer {name!r} ({value}) calls itself {found.name!r}")
    return found
