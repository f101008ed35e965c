-- What the engine knows of a case besides its scores, and where the case comes from.
ALTER TABLE {database}.case_results {on_cluster}
    ADD COLUMN IF NOT EXISTS score Nullable(Float64) AFTER passed,
    ADD COLUMN IF NOT EXISTS split LowCardinality(String) AFTER output,
    ADD COLUMN IF NOT EXISTS tags Array(LowCardinality(String)) AFTER split,
    ADD COLUMN IF NOT EXISTS cluster Nullable(String) COMMENT 'cases that share a source' AFTER tags,
    ADD COLUMN IF NOT EXISTS attempts UInt32 DEFAULT 1 COMMENT 'calls made for the case' AFTER cluster,
    ADD COLUMN IF NOT EXISTS cached Bool COMMENT 'answered by the response cache' AFTER attempts,
    ADD COLUMN IF NOT EXISTS finish_reason LowCardinality(Nullable(String)) AFTER cached,
    ADD COLUMN IF NOT EXISTS error_text Nullable(String) AFTER finish_reason;
