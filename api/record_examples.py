"""One record of each kind that is answered as it is stored, as the documentation shows it."""

from collections.abc import Mapping
from typing import Any

_STRETCH = {
    "topic": "metric-partials",
    "partition": 2,
    "first_offset": 118_204,
    "last_offset": 121_995,
    "test_version": 3,
    "resumed": False,
}
EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "AbVerdict": {
        "ab_test_id": "small-2026-11",
        "org_id": "acme",
        "capability": "chat",
        "as_of": "2026-11-24T12:00:00Z",
        "status": "decided",
        "winner": "new",
        "decided_at": "2026-11-24T12:00:00Z",
        "decision": "new wins: better than old on quality (0.81 against 0.78); "
        "no guardrail is broken.",
        "srm_p_value": 0.8,
        "alpha": 0.05,
        "arms": [
            {"arm": "old", "model_id": "small", "events": 9120, "units": 3015, "weight": 0.5},
            {"arm": "new", "model_id": "small", "events": 9087, "units": 2998, "weight": 0.5},
        ],
        "comparisons": [
            {
                "metric": "quality",
                "role": "primary",
                "direction": "higher",
                "arm": "new",
                "baseline": "old",
                "n_arm": 9087,
                "n_baseline": 9120,
                "mean_arm": 0.81,
                "mean_baseline": 0.78,
                "difference": 0.03,
                "relative_difference": 0.0385,
                "fixed_p_value": 3.4e-14,
                "fixed_lower": 0.0223,
                "fixed_upper": 0.0377,
                "anytime_p_value": 2.1e-12,
                "anytime_lower": 0.0181,
                "anytime_upper": 0.0419,
                "verdict": "better",
                "note": None,
                "log_e_value": 26.9,
                "adjusted_p_value": 2.1e-12,
                "margin": 0.01,
                "min_effect": 0.02,
                "worth": "worth",
                "guard": None,
                "design_effect": 1.07,
                "variance_left": None,
            }
        ],
        "recommendation": "ship",
        "reason": "new wins: better than old on quality (0.81 against 0.78); "
        "no guardrail is broken.",
        "analysis": "events",
        "warning": None,
        "multiplicity": "anytime intervals and p-values: Bonferroni over arms and metrics of a "
        "role; adjusted p-values: Holm, of secondary metrics Benjamini-Hochberg; pairs: Bonferroni "
        "over all pairs",
        "started_at": "2026-11-20T09:30:00Z",
        "pairs": [],
        "beliefs": [
            {
                "metric": "quality",
                "arm": "old",
                "mean": 0.78,
                "lower": 0.7746,
                "upper": 0.7854,
                "probability_best": 0.0,
                "expected_loss": 0.03,
            },
            {
                "metric": "quality",
                "arm": "new",
                "mean": 0.81,
                "lower": 0.8046,
                "upper": 0.8154,
                "probability_best": 1.0,
                "expected_loss": 0.0,
            },
        ],
        "sources": [_STRETCH],
        "decision_sources": [_STRETCH],
        "decided_by": None,
        "statistics_version": 1,
    },
    "Alert": {
        "alert_id": "b7c1",
        "org_id": "acme",
        "raised_at": "2026-11-24T12:00:00Z",
        "kind": "error_rate",
        "severity": "critical",
        "message": "small fails 12 % of its calls; 2 % is usual",
        "capability": "chat",
        "model_id": "small",
        "ab_test_id": None,
        "value": 0.12,
        "expected": 0.02,
        "p_value": 1e-9,
        "window_start": "2026-11-24T11:55:00Z",
        "window_end": "2026-11-24T12:00:00Z",
    },
}
