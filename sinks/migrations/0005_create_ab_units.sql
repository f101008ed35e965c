-- Sums of every core metric by unit of an A/B test, for statistics that do not take a unit's events
-- as independent. Rows of one key are parts of a whole, and a unit has a row a month: always sum by
-- unit when reading. Filled by the view below from the calls alone: a cost that is priced from the
-- registry is not in it.
CREATE TABLE IF NOT EXISTS {database}.ab_units {on_cluster}
(
    org_id LowCardinality(String),
    ab_test_id LowCardinality(String),
    arm LowCardinality(String),
    unit UInt64 COMMENT 'sipHash64(unit_id)',
    month Date COMMENT 'of occurred_at',
    calls SimpleAggregateFunction(sum, UInt64),
    errors SimpleAggregateFunction(sum, UInt64),
    latency_ms_total SimpleAggregateFunction(sum, Float64),
    latency_ms_total_sq SimpleAggregateFunction(sum, Float64),
    ttft_ms_n SimpleAggregateFunction(sum, UInt64),
    ttft_ms_total SimpleAggregateFunction(sum, Float64),
    ttft_ms_total_sq SimpleAggregateFunction(sum, Float64),
    input_tokens_total SimpleAggregateFunction(sum, Float64),
    input_tokens_total_sq SimpleAggregateFunction(sum, Float64),
    output_tokens_total SimpleAggregateFunction(sum, Float64),
    output_tokens_total_sq SimpleAggregateFunction(sum, Float64),
    cost_usd_n SimpleAggregateFunction(sum, UInt64),
    cost_usd_total SimpleAggregateFunction(sum, Float64),
    cost_usd_total_sq SimpleAggregateFunction(sum, Float64),
    quality_n SimpleAggregateFunction(sum, UInt64),
    quality_total SimpleAggregateFunction(sum, Float64),
    quality_total_sq SimpleAggregateFunction(sum, Float64)
)
ENGINE = {AggregatingMergeTree}
PARTITION BY month
ORDER BY (org_id, ab_test_id, arm, unit, month)
TTL month + INTERVAL 1 MONTH + INTERVAL {hours_days} DAY
SETTINGS {deduplicate}, ttl_only_drop_parts = 1;

-- Adds every block of calls that enters inference_events, under the same token.
CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.ab_units_of_calls {on_cluster}
TO {database}.ab_units AS
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
CREATE TABLE IF NOT EXISTS {database}.ab_unit_outcomes {on_cluster}
(
    org_id LowCardinality(String),
    ab_test_id LowCardinality(String),
    metric LowCardinality(String),
    arm LowCardinality(String),
    unit UInt64 COMMENT 'sipHash64(unit_id)',
    month Date COMMENT 'of occurred_at',
    n SimpleAggregateFunction(sum, UInt64),
    total SimpleAggregateFunction(sum, Float64),
    total_sq SimpleAggregateFunction(sum, Float64)
)
ENGINE = {AggregatingMergeTree}
PARTITION BY month
ORDER BY (org_id, ab_test_id, metric, arm, unit, month)
TTL month + INTERVAL 1 MONTH + INTERVAL {hours_days} DAY
SETTINGS {deduplicate}, ttl_only_drop_parts = 1;

-- Adds every block of outcomes that enters feedback_events, under the same token.
CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.ab_units_of_outcomes {on_cluster}
TO {database}.ab_unit_outcomes AS
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
