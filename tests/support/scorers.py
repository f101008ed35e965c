"""One scorer on one answer, without a pool."""

from typing import Any

from agents.evaluation.scorers.base import Absent, Found, Scorer
from agents.evaluation.scorers.registry import scorer
from agents.evaluation.scorers.run import judge


def said(
    name: str, answer: str, /, options: dict[str, Any] | None = None, **fields: Any
) -> Found | Absent:
    """What the scorer says; options as a suite gives them."""
    found = scorer(name)
    assert isinstance(found, Scorer)
    return judge(found, found.options.model_validate(options or {}), answer, fields)


def value(name: str, answer: str, /, options: dict[str, Any] | None = None, **fields: Any) -> float:
    """As `said`, of an answer that can be judged."""
    found = said(name, answer, options, **fields)
    assert isinstance(found, Found), found
    return found.value


def reason(name: str, answer: str, /, options: dict[str, Any] | None = None, **fields: Any) -> str:
    """As `said`, of one that cannot."""
    found = said(name, answer, options, **fields)
    assert isinstance(found, Absent), found
    return found.reason
