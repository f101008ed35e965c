-- Cases of datasets, one row each. A dataset may be published more than once: of the rows of a place
-- the newest counts, and what is beyond the dataset's number of cases belongs to a publication that
-- was never finished.
CREATE TABLE IF NOT EXISTS {database}.evaluation_datasets {on_cluster}
(
    org_id LowCardinality(String),
    dataset_id LowCardinality(String),
    dataset_version LowCardinality(String),
    place UInt64 COMMENT 'counts from 0 within the dataset',
    case_id String,
    fields String COMMENT 'JSON' CODEC(ZSTD(3)),
    split LowCardinality(String),
    tags Array(LowCardinality(String)),
    cluster Nullable(String) COMMENT 'cases that share a source',
    src_partition UInt32,
    src_offset UInt64
)
ENGINE = {ReplacingMergeTree(src_offset)}
ORDER BY (org_id, dataset_id, dataset_version, place)
SETTINGS {deduplicate};
