-- Mergeable state of a metric in a pane of 10 s of event time. Rows of one key are parts of a whole:
-- always aggregate (sum, min, max, sumMap) when reading.
CREATE TABLE IF NOT EXISTS {database}.metric_panes {on_cluster}
(
    org_id LowCardinality(String),
    metric LowCardinality(String),
    capability LowCardinality(String),
    model_id LowCardinality(String),
    model_version LowCardinality(String),
    ab_test_id LowCardinality(String),
    arm LowCardinality(String),
    source LowCardinality(String),
    pane DateTime('UTC') CODEC(Delta, ZSTD(1)),
    n SimpleAggregateFunction(sum, UInt64),
    total SimpleAggregateFunction(sum, Float64),
    total_sq SimpleAggregateFunction(sum, Float64),
    minimum SimpleAggregateFunction(min, Float64),
    maximum SimpleAggregateFunction(max, Float64),
    total_nanos SimpleAggregateFunction(sum, Int64),
    sketch SimpleAggregateFunction(sumMap, Map(Int32, UInt64))
)
ENGINE = {AggregatingMergeTree}
PARTITION BY toYYYYMM(pane)
ORDER BY (org_id, metric, capability, model_id, model_version, ab_test_id, arm, source, pane)
TTL pane + INTERVAL {panes_days} DAY
SETTINGS {deduplicate};

-- The same by hour, kept longer; filled by the view below.
CREATE TABLE IF NOT EXISTS {database}.metric_hours {on_cluster}
(
    org_id LowCardinality(String),
    metric LowCardinality(String),
    capability LowCardinality(String),
    model_id LowCardinality(String),
    model_version LowCardinality(String),
    ab_test_id LowCardinality(String),
    arm LowCardinality(String),
    source LowCardinality(String),
    hour DateTime('UTC') CODEC(Delta, ZSTD(1)),
    n SimpleAggregateFunction(sum, UInt64),
    total SimpleAggregateFunction(sum, Float64),
    total_sq SimpleAggregateFunction(sum, Float64),
    minimum SimpleAggregateFunction(min, Float64),
    maximum SimpleAggregateFunction(max, Float64),
    total_nanos SimpleAggregateFunction(sum, Int64),
    sketch SimpleAggregateFunction(sumMap, Map(Int32, UInt64))
)
ENGINE = {AggregatingMergeTree}
PARTITION BY toYYYYMM(hour)
ORDER BY (org_id, metric, capability, model_id, model_version, ab_test_id, arm, source, hour)
TTL hour + INTERVAL {hours_days} DAY
SETTINGS {deduplicate};

-- Rolls every block that enters metric_panes up to hours, under the same token.
CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.metric_hours_rollup {on_cluster}
TO {database}.metric_hours AS
SELECT
    org_id, metric, capability, model_id, model_version, ab_test_id, arm, source,
    toStartOfHour(pane) AS hour,
    sum(n) AS n,
    sum(total) AS total,
    sum(total_sq) AS total_sq,
    min(minimum) AS minimum,
    max(maximum) AS maximum,
    sum(total_nanos) AS total_nanos,
    sumMap(sketch) AS sketch
FROM {database}.metric_panes
GROUP BY org_id, metric, capability, model_id, model_version, ab_test_id, arm, source, hour;
