-- The same as metric_hours by day (UTC), for questions over weeks and months. Late events are added to
-- their day when they come.
CREATE TABLE IF NOT EXISTS {database}.metric_days {on_cluster}
(
    org_id LowCardinality(String),
    metric LowCardinality(String),
    capability LowCardinality(String),
    model_id LowCardinality(String),
    model_version LowCardinality(String),
    ab_test_id LowCardinality(String),
    arm LowCardinality(String),
    source LowCardinality(String),
    day DateTime('UTC') CODEC(Delta, ZSTD(1)),
    n SimpleAggregateFunction(sum, UInt64),
    total SimpleAggregateFunction(sum, Float64),
    total_sq SimpleAggregateFunction(sum, Float64),
    minimum SimpleAggregateFunction(min, Float64),
    maximum SimpleAggregateFunction(max, Float64),
    total_nanos SimpleAggregateFunction(sum, Int64),
    sketch SimpleAggregateFunction(sumMap, Map(Int32, UInt64))
)
ENGINE = {AggregatingMergeTree}
PARTITION BY toYYYYMM(day)
ORDER BY (org_id, metric, capability, model_id, model_version, ab_test_id, arm, source, day)
TTL day + INTERVAL {hours_days} DAY
SETTINGS {deduplicate};

-- Rolls every block that enters metric_hours up to days, under the same token.
CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.metric_days_rollup {on_cluster}
TO {database}.metric_days AS
SELECT
    org_id, metric, capability, model_id, model_version, ab_test_id, arm, source,
    toStartOfDay(hour) AS day,
    sum(n) AS n,
    sum(total) AS total,
    sum(total_sq) AS total_sq,
    min(minimum) AS minimum,
    max(maximum) AS maximum,
    sum(total_nanos) AS total_nanos,
    sumMap(sketch) AS sketch
FROM {database}.metric_hours
GROUP BY org_id, metric, capability, model_id, model_version, ab_test_id, arm, source, day;

-- From which day on metric_days has everything. Sinks may be at work while this runs: what they stored
-- before is in metric_hours alone, so days begin where no event can have come before.
CREATE TABLE IF NOT EXISTS {database}.metric_days_begin {on_cluster}
(
    since DateTime('UTC')
)
ENGINE = {MergeTree}
ORDER BY since;

INSERT INTO {database}.metric_days_begin
SELECT if((SELECT count() FROM {database}.metric_hours) = 0, toDateTime(0, 'UTC'), toStartOfDay(now('UTC')) + INTERVAL 2 DAY)
WHERE (SELECT count() FROM {database}.metric_days_begin) = 0;
