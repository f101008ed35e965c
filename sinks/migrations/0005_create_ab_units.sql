-- Sums of every core metric by unit of an A/B test, for statistics that do not take a unit's events
-- as independent. Computed from the calls when it is read: kept beside them it would cost every insert
-- more than the calls themselves. A unit has a row a month: always sum by unit. A cost that is priced
-- from the registry is not in it.
CREATE VIEW IF NOT EXISTS {database}.ab_units {on_cluster} AS
SELECT
    org_id, ab_test_id, arm,
    sipHash64(unit_id) AS unit,
    toStartOfMonth(toDate(occurred_at)) AS month,
    count() AS calls,
    countIf(error_type IS NOT NULL) AS errors,
    sum(latency_ms) AS latency_ms_total,
    sum(latency_ms * latency_ms) AS latency_ms_total_sq,
    count(ttft_ms) AS ttft_ms_n,
    sum(ifNull(ttft_ms, 0.)) AS ttft_ms_total,
    sum(ifNull(ttft_ms * ttft_ms, 0.)) AS ttft_ms_total_sq,
    sum(toFloat64(input_tokens)) AS input_tokens_total,
    sum(toFloat64(input_tokens) * toFloat64(input_tokens)) AS input_tokens_total_sq,
    sum(toFloat64(output_tokens)) AS output_tokens_total,
    sum(toFloat64(output_tokens) * toFloat64(output_tokens)) AS output_tokens_total_sq,
    count(cost_usd) AS cost_usd_n,
    sum(ifNull(cost_usd, 0.)) AS cost_usd_total,
    sum(ifNull(cost_usd * cost_usd, 0.)) AS cost_usd_total_sq,
    count(quality) AS quality_n,
    sum(ifNull(quality, 0.)) AS quality_total,
    sum(ifNull(quality * quality, 0.)) AS quality_total_sq
FROM {database}.inference_events
WHERE ab_test_id != ''
GROUP BY org_id, ab_test_id, arm, unit, month;

-- The same of every metric that comes as an outcome after the call.
CREATE VIEW IF NOT EXISTS {database}.ab_unit_outcomes {on_cluster} AS
SELECT
    org_id, ab_test_id, metric, arm,
    sipHash64(unit_id) AS unit,
    toStartOfMonth(toDate(occurred_at)) AS month,
    count() AS n,
    sum(value) AS total,
    sum(value * value) AS total_sq
FROM {database}.feedback_events
WHERE ab_test_id != ''
GROUP BY org_id, ab_test_id, metric, arm, unit, month;
