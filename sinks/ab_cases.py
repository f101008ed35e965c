"""The cases of an offline A/B test: one value a case and arm, the mean over its epochs."""

from collections.abc import Mapping

from schemas.evaluations import UNASKED
from sinks.clickhouse import ClickHouse

CASES_MAX = 1_000_000
Values = Mapping[str, Mapping[str, float]]
"""By arm, then by case."""

CORE: Mapping[str, str] = {
    "latency_ms": "latency_ms",
    "ttft_ms": "ttft_ms",
    "input_tokens": "toFloat64(input_tokens)",
    "output_tokens": "toFloat64(output_tokens)",
    "cost_usd": "cost_usd",
    "error": "toFloat64(error_type IS NOT NULL)",
    "quality": "coalesce(score, {named}, toFloat64(passed))",
}
"""Any other metric is a score of that name."""
_NAMED = "arrayFirst((v, m) -> m = {metric:String}, `scores.value`, `scores.metric`)"
_THERE = "has(`scores.metric`, {metric:String})"


def case_values(
    clickhouse: ClickHouse, org_id: str, ab_test_id: str, metric: str, run_id: str = ""
) -> Values:
    """Of one run, or of every run for the test. Of a case that was executed again, the newest
    result counts; cases without a value of the metric are left out, and those that no model was
    asked.

    Raises Backpressure, SinkBroken.
    """
    named = f"if({_THERE}, {_NAMED}, NULL)"
    value = CORE.get(metric, "{named}").replace("{named}", named)
    rows = clickhouse.rows(
        _CASES.replace("VALUE", value),
        {
            "database": clickhouse.database,
            "org_id": org_id,
            "ab_test_id": ab_test_id,
            "run_id": run_id,
            "metric": metric,
            "unasked": list(UNASKED),
            "limit": CASES_MAX,
        },
    )
    found: dict[str, dict[str, float]] = {}
    for arm, case_id, mean in rows:
        found.setdefault(arm, {})[case_id] = mean
    return found


_CASES = """
SELECT arm, case_id, avg(value)
FROM (
    SELECT arm, case_id, toFloat64(VALUE) AS value
    FROM {database:Identifier}.case_results
    WHERE org_id = {org_id:String} AND ab_test_id = {ab_test_id:String} AND arm != ''
      AND NOT has({unasked:Array(String)}, ifNull(error_type, ''))
      AND ({run_id:String} = '' OR run_id = {run_id:String})
    ORDER BY occurred_at DESC, src_offset DESC
    LIMIT 1 BY run_id, case_id, epoch, arm
)
WHERE value IS NOT NULL AND isFinite(value)
GROUP BY arm, case_id
ORDER BY arm, case_id
LIMIT {limit:UInt64}
"""
