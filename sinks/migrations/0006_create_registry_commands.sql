-- Every change of every command to the registry and what became of it, the refused ones too.
CREATE TABLE IF NOT EXISTS {database}.registry_commands {on_cluster}
(
    org_id LowCardinality(String),
    decided_at DateTime64(3, 'UTC'),
    command_id String,
    change UInt32 COMMENT 'counts from 0 within the command',
    key String,
    kind LowCardinality(String),
    action LowCardinality(String),
    status LowCardinality(String) COMMENT 'accepted, conflict, refused or expired',
    author String,
    submitted_at DateTime64(3, 'UTC'),
    expected_version Nullable(UInt64),
    version Nullable(UInt64) COMMENT 'the one it made',
    `problems.field` Array(String),
    `problems.text` Array(String),
    `problems.current_version` Array(Nullable(UInt64)),
    src_partition UInt32,
    src_offset UInt64
)
ENGINE = {MergeTree}
PARTITION BY toYYYYMM(decided_at)
ORDER BY (org_id, decided_at, src_offset, change)
SETTINGS {deduplicate};

ALTER TABLE {database}.registry {on_cluster}
    COMMENT COLUMN entity 'JSON; of a deletion what it last was, empty when nothing is known';
