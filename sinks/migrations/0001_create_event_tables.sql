-- One row for every valid event; the coordinates tell where it stood in Kafka.
CREATE TABLE IF NOT EXISTS {database}.inference_events {on_cluster}
(
    event_id String,
    occurred_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    org_id LowCardinality(String),
    model_id LowCardinality(String),
    model_version LowCardinality(String),
    capability LowCardinality(String),
    ab_test_id LowCardinality(String),
    arm LowCardinality(String),
    unit_id String,
    propensity Nullable(Float64),
    selection_id Nullable(String),
    latency_ms Float64,
    ttft_ms Nullable(Float64),
    input_tokens UInt32,
    output_tokens UInt32,
    cached_input_tokens UInt32,
    cost_usd Nullable(Float64),
    quality Nullable(Float64),
    error_type LowCardinality(Nullable(String)),
    src_partition UInt32,
    src_offset UInt64
)
ENGINE = {MergeTree}
PARTITION BY toYYYYMMDD(occurred_at)
ORDER BY (org_id, capability, model_id, occurred_at)
TTL toDateTime(occurred_at) + INTERVAL {rows_days} DAY
SETTINGS {deduplicate}, ttl_only_drop_parts = 1;

-- One row for every valid outcome that arrived after its call.
CREATE TABLE IF NOT EXISTS {database}.feedback_events {on_cluster}
(
    event_id String,
    inference_id String,
    occurred_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    observed_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    org_id LowCardinality(String),
    model_id LowCardinality(String),
    model_version LowCardinality(String),
    capability LowCardinality(String),
    ab_test_id LowCardinality(String),
    arm LowCardinality(String),
    unit_id String,
    metric LowCardinality(String),
    value Float64,
    source LowCardinality(String),
    src_partition UInt32,
    src_offset UInt64
)
ENGINE = {MergeTree}
PARTITION BY toYYYYMMDD(occurred_at)
ORDER BY (org_id, capability, metric, model_id, occurred_at)
TTL toDateTime(occurred_at) + INTERVAL {rows_days} DAY
SETTINGS {deduplicate}, ttl_only_drop_parts = 1;

-- One row for every executed case of an evaluation; the scores side by side in arrays.
CREATE TABLE IF NOT EXISTS {database}.case_results {on_cluster}
(
    run_id String,
    case_id String,
    epoch UInt32,
    occurred_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    org_id LowCardinality(String),
    model_id LowCardinality(String),
    model_version LowCardinality(String),
    capability LowCardinality(String),
    ab_test_id LowCardinality(String),
    arm LowCardinality(String),
    suite_id LowCardinality(String),
    suite_version LowCardinality(String),
    latency_ms Nullable(Float64),
    ttft_ms Nullable(Float64),
    input_tokens UInt32,
    output_tokens UInt32,
    cached_input_tokens UInt32,
    cost_usd Nullable(Float64),
    error_type LowCardinality(Nullable(String)),
    passed Nullable(Bool),
    output Nullable(String),
    `scores.metric` Array(String),
    `scores.value` Array(Nullable(Float64)),
    `scores.label` Array(Nullable(String)),
    `scores.explanation` Array(Nullable(String)),
    `scores.scorer` Array(String),
    `scores.scorer_version` Array(String),
    src_partition UInt32,
    src_offset UInt64
)
ENGINE = {MergeTree}
PARTITION BY toYYYYMM(occurred_at)
ORDER BY (org_id, run_id, case_id, epoch, model_id)
TTL toDateTime(occurred_at) + INTERVAL {rows_days} DAY
SETTINGS {deduplicate};
