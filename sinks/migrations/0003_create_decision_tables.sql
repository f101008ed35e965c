-- Every verdict that was published; the newest of a test has the highest as_of.
CREATE TABLE IF NOT EXISTS {database}.ab_verdicts {on_cluster}
(
    org_id LowCardinality(String),
    ab_test_id LowCardinality(String),
    capability LowCardinality(String),
    as_of DateTime64(3, 'UTC'),
    status LowCardinality(String),
    winner Nullable(String),
    decided_at Nullable(DateTime64(3, 'UTC')),
    decision Nullable(String),
    srm_p_value Nullable(Float64),
    alpha Float64,
    `arms.arm` Array(String),
    `arms.model_id` Array(String),
    `arms.events` Array(UInt64),
    `comparisons.metric` Array(String),
    `comparisons.role` Array(String),
    `comparisons.direction` Array(String),
    `comparisons.arm` Array(String),
    `comparisons.baseline` Array(String),
    `comparisons.n_arm` Array(UInt64),
    `comparisons.n_baseline` Array(UInt64),
    `comparisons.mean_arm` Array(Nullable(Float64)),
    `comparisons.mean_baseline` Array(Nullable(Float64)),
    `comparisons.difference` Array(Nullable(Float64)),
    `comparisons.relative_difference` Array(Nullable(Float64)),
    `comparisons.fixed_p_value` Array(Nullable(Float64)),
    `comparisons.fixed_lower` Array(Nullable(Float64)),
    `comparisons.fixed_upper` Array(Nullable(Float64)),
    `comparisons.anytime_p_value` Array(Nullable(Float64)),
    `comparisons.anytime_lower` Array(Nullable(Float64)),
    `comparisons.anytime_upper` Array(Nullable(Float64)),
    `comparisons.verdict` Array(String),
    `comparisons.note` Array(Nullable(String)),
    src_partition UInt32,
    src_offset UInt64
)
ENGINE = {MergeTree}
PARTITION BY toYYYYMM(as_of)
ORDER BY (org_id, ab_test_id, as_of)
TTL toDateTime(as_of) + INTERVAL {hours_days} DAY
SETTINGS {deduplicate};

-- Every selection that was published; ranked candidates side by side in arrays.
CREATE TABLE IF NOT EXISTS {database}.selection_updates {on_cluster}
(
    org_id LowCardinality(String),
    capability LowCardinality(String),
    selection_id String,
    issued_at DateTime64(3, 'UTC'),
    expires_at DateTime64(3, 'UTC'),
    policy_version UInt64,
    reason String,
    `candidates.model_id` Array(String),
    `candidates.model_version` Array(String),
    `candidates.rank` Array(UInt32),
    `candidates.weight` Array(Float64),
    `candidates.eligible` Array(Bool),
    `candidates.score` Array(Nullable(Float64)),
    `candidates.score_lower` Array(Nullable(Float64)),
    `candidates.samples` Array(UInt64),
    `candidates.quality` Array(Nullable(Float64)),
    `candidates.error_rate` Array(Nullable(Float64)),
    `candidates.latency_p95_ms` Array(Nullable(Float64)),
    `candidates.cost_usd_mean` Array(Nullable(Float64)),
    `candidates.reasons` Array(Array(String)),
    src_partition UInt32,
    src_offset UInt64
)
ENGINE = {MergeTree}
PARTITION BY toYYYYMM(issued_at)
ORDER BY (org_id, capability, issued_at)
TTL toDateTime(issued_at) + INTERVAL {hours_days} DAY
SETTINGS {deduplicate};

-- Every alert that was raised. A restart may repeat one: count by alert_id.
CREATE TABLE IF NOT EXISTS {database}.alerts {on_cluster}
(
    org_id LowCardinality(String),
    raised_at DateTime64(3, 'UTC'),
    alert_id String,
    kind LowCardinality(String),
    severity LowCardinality(String),
    capability Nullable(String),
    model_id Nullable(String),
    ab_test_id Nullable(String),
    message String,
    value Nullable(Float64),
    expected Nullable(Float64),
    p_value Nullable(Float64),
    window_start Nullable(DateTime64(3, 'UTC')),
    window_end Nullable(DateTime64(3, 'UTC')),
    src_partition UInt32,
    src_offset UInt64
)
ENGINE = {MergeTree}
PARTITION BY toYYYYMM(raised_at)
ORDER BY (org_id, raised_at)
TTL toDateTime(raised_at) + INTERVAL {hours_days} DAY
SETTINGS {deduplicate};

-- Every fact of the registry, the deletions too: its history.
CREATE TABLE IF NOT EXISTS {database}.registry {on_cluster}
(
    key String,
    kind LowCardinality(String),
    org_id LowCardinality(String),
    version UInt64,
    author String,
    accepted_at Nullable(DateTime64(3, 'UTC')),
    command_id String,
    entity String COMMENT 'JSON, empty when deleted',
    deleted Bool,
    src_partition UInt32,
    src_offset UInt64
)
ENGINE = {MergeTree}
ORDER BY (org_id, key, src_offset)
SETTINGS {deduplicate};

-- One row for every record that was rejected.
CREATE TABLE IF NOT EXISTS {database}.dead_letters {on_cluster}
(
    source_topic LowCardinality(String),
    source_partition UInt32,
    source_offset UInt64,
    source_timestamp Nullable(DateTime64(3, 'UTC')),
    key Nullable(String),
    value Nullable(String) COMMENT 'the untouched bytes',
    reason_code LowCardinality(String),
    reason String,
    field LowCardinality(Nullable(String)),
    rejected_at DateTime64(3, 'UTC'),
    src_partition UInt32,
    src_offset UInt64
)
ENGINE = {MergeTree}
PARTITION BY toYYYYMM(rejected_at)
ORDER BY (source_topic, reason_code, rejected_at)
TTL toDateTime(rejected_at) + INTERVAL {rows_days} DAY
SETTINGS {deduplicate};

-- The newest state of every evaluation run; read with FINAL.
CREATE TABLE IF NOT EXISTS {database}.evaluation_runs {on_cluster}
(
    org_id LowCardinality(String),
    run_id String,
    state LowCardinality(String),
    updated_at DateTime64(3, 'UTC'),
    planned UInt64,
    finished UInt64,
    failed UInt64,
    cost_nanos Int64
)
ENGINE = {ReplacingMergeTree(updated_at)}
ORDER BY (org_id, run_id);
