"""One body of each kind, as the documentation shows it: each is taken as it stands."""

from collections.abc import Mapping
from typing import Any

EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "organisation": {"org_id": "acme", "name": "Acme", "promotion_requires_verdict": True},
    "user": {
        "user_id": "ann",
        "role": "editor",
        "name": "Ann Example",
        "email": "ann@acme.example",
        "subject": "auth0|5f7c8ec7c33c6c004bbafe82",
    },
    "capability": {
        "capability": "code/python",
        "parent": "code",
        "required_features": ["tools"],
        "name": "Python",
    },
    "model": {
        "model_id": "small",
        "model_version": "2026-11",
        "provider": "example-ai",
        "capabilities": ["chat", "code"],
        "levels": [{"capability": "code", "level": "advanced"}],
        "features": ["tools", "json_schema"],
        "prices": [
            {
                "valid_from": "2026-11-01T00:00:00Z",
                "input_usd_per_mtok": 0.15,
                "output_usd_per_mtok": 0.6,
                "cached_input_usd_per_mtok": 0.075,
            }
        ],
        "endpoint": {
            "base_url": "https://models.example/v1",
            "api_style": "openai-chat",
            "secret_ref": "env:EXAMPLE_API_KEY",
        },
        "context_window_tokens": 128000,
        "max_output_tokens": 16384,
        "status": "draft",
        "tags": ["team:search"],
        "owner": "ann",
    },
    "alias": {"alias": "champion", "model_version": "2026-11", "ab_test_id": "small-2026-11"},
    "ab_test": {
        "ab_test_id": "small-2026-11",
        "capability": "chat",
        "unit": "user",
        "arms": [
            {"arm": "old", "model_id": "small", "model_version": "2026-05"},
            {"arm": "new", "model_id": "small", "model_version": "2026-11"},
        ],
        "baseline": "old",
        "metrics": [
            {"metric": "quality", "role": "primary", "direction": "higher", "margin": 0.01},
            {"metric": "latency_ms", "role": "guardrail", "direction": "lower", "margin": 100},
        ],
        "status": "draft",
    },
    "policy": {
        "capability": "chat",
        "weights": {"quality": 1, "cost_usd": 0.5, "latency_ms": 0.2, "error": 1},
        "constraints": {"max_error_rate": 0.05, "max_latency_p95_ms": 4000},
        "fallback": ["small"],
    },
    "suite": {
        "suite_id": "quiz",
        "suite_version": "1",
        "capability": "chat",
        "task_kind": "qa",
        "dataset_id": "quiz",
        "dataset_version": "1",
        "prompt": [
            {"role": "system", "content": "Answer with one word."},
            {"role": "user", "content": "{question}"},
        ],
        "scorers": [{"scorer": "normalised_match", "threshold": 1.0}],
        "parameters": {"temperature": 0.0, "max_output_tokens": 64},
    },
    "dataset": {
        "dataset_id": "quiz",
        "dataset_version": "1",
        "content_sha256": "0" * 64,
        "cases": 2,
        "fields": ["question", "answer"],
    },
}

PATCHES: Mapping[str, Mapping[str, Any]] = {
    "organisation": {"promotion_requires_verdict": True},
    "user": {"role": "viewer"},
    "capability": {"description": "Writes and repairs programs."},
    "model": {"status": "active", "tags": ["team:search"]},
    "alias": {"model_version": "2026-11"},
    "ab_test": {"status": "running"},
    "policy": {"min_samples": 200},
}
"""One change of each kind."""

REGISTRY_FILE: Mapping[str, Any] = {
    "models": [{"org_id": "acme", **EXAMPLES["model"]}],
    "policies": [{"org_id": "acme", **EXAMPLES["policy"]}],
}
