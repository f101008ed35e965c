"""The result of a case, before anything is known of an answer."""

from datetime import datetime

from schemas.evaluations import CaseResult, EvaluationCase


def blank(case: EvaluationCase, occurred_at: datetime) -> CaseResult:
    """A result that says nothing yet. Cost None: by the registry's price of its tokens."""
    return CaseResult(
        run_id=case.run_id,
        case_id=case.case_id,
        epoch=case.epoch,
        occurred_at=occurred_at,
        org_id=case.org_id,
        model_id=case.model_id,
        model_version=case.model_version,
        capability=case.capability,
        ab_test_id=case.ab_test_id,
        arm=case.arm,
        suite_id=case.suite_id,
        suite_version=case.suite_version,
        latency_ms=None,
        ttft_ms=None,
        input_tokens=0,
        output_tokens=0,
        cached_input_tokens=0,
        cost_usd=None,
        error_type=None,
        passed=None,
        output=None,
        scores=(),
        split=case.split,
        tags=case.tags,
        cluster=case.cluster,
        judge_cost_usd=0.0,
        rescored=case.stored_output is not None,
    )
