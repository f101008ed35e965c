"""One scorer on one answer, in whichever process: options validated, failures told."""

import math
from functools import lru_cache

from pydantic import ValidationError

from agents.evaluation.scorers.base import (
    TEXT_MAX,
    Absent,
    AnyScorer,
    Fields,
    Found,
    Options,
    Scorer,
)
from agents.evaluation.scorers.registry import BrokenScorer, UnknownScorer, scorer
from schemas.evaluations import Score
from schemas.suites import ScorerUse


@lru_cache(1024)
def prepared(name: str, options: str) -> tuple[AnyScorer, Options] | Absent:
    """The scorer and its options (a JSON object), or what is wrong with either."""
    try:
        found = scorer(name)
        return found, found.options.model_validate_json(options)
    except (UnknownScorer, BrokenScorer) as error:
        return Absent(str(error))
    except ValidationError as error:
        return Absent(f"the options of {name} are wrong: {describe(error)}")


def describe(error: ValidationError) -> str:
    """Every mistake as 'field: what is wrong', on one line."""
    found = []
    for item in error.errors(include_url=False, include_input=False):
        place = ".".join(str(part) for part in item["loc"])
        found.append(f"{place}: {item['msg']}" if place else item["msg"])
    return "; ".join(found)


def loaded(found: Scorer[Options]) -> Found | Absent:
    """Loads what the scorer needs; `Absent` when that fails, such as a package that is missing."""
    try:
        found.load()
    except Exception as error:  # whatever a library raises when it loads
        return failed(found.name, error)
    return Found(1.0)


def judge(found: Scorer[Options], options: Options, answer: str, fields: Fields) -> Found | Absent:
    """What the scorer says. A scorer that fails costs its own score, and says so in it."""
    try:
        return checked(found.name, found.score(answer, fields, options))
    except Exception as error:  # a custom scorer or library may raise anything on odd answers
        return failed(found.name, error)


def checked(name: str, said: Found | Absent) -> Found | Absent:
    """NaN and infinities are no values."""
    if isinstance(said, Found) and not math.isfinite(said.value):
        return Absent(f"{name} computed {said.value}, which is no number to average")
    return said


def failed(name: str, error: BaseException) -> Absent:
    """A scorer that raised, as a reason."""
    return Absent(f"the scorer {name} failed: {type(error).__name__}: {error}")


def as_score(use: ScorerUse, version: str, said: Found | Absent) -> Score:
    """As it is stored: under the use's metric; text is valid UTF-8 and bounded."""
    metric = use.metric or use.scorer
    if isinstance(said, Absent):
        return Score(metric, use.scorer, version, explanation=_kept(said.reason))
    return Score(
        metric, use.scorer, version, float(said.value), _kept(said.label), _kept(said.explanation)
    )


def _kept(text: str | None) -> str | None:
    return None if text is None else text[:TEXT_MAX].encode(errors="replace").decode()
