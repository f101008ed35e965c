"""Evaluation cases for tests."""

import json
from datetime import UTC, datetime
from typing import Any

from schemas.evaluations import EvaluationCase
from schemas.suites import PromptMessage, ScorerUse


def use(
    scorer: str, *, weight: float = 1.0, threshold: float | None = None, **options: Any
) -> ScorerUse:
    """A scorer with options given by name."""
    return ScorerUse(scorer, weight, threshold, None, json.dumps(options))


def case(*uses: ScorerUse, pass_threshold: float | None = None, **fields: Any) -> EvaluationCase:
    """A case of organisation acme with these fields."""
    return EvaluationCase(
        run_id="run",
        case_id="case",
        epoch=0,
        org_id="acme",
        model_id="model",
        model_version="1",
        capability="qa",
        suite_id="suite",
        suite_version="1",
        planned_at=datetime(2026, 1, 1, tzinfo=UTC),
        messages=(PromptMessage("user", "?"),),
        scorers=uses,
        fields=json.dumps(fields),
        pass_threshold=pass_threshold,
    )
