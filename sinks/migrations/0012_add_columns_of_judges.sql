-- What judges of an answer cost, apart from the answer, and which answers were scored again.
ALTER TABLE {database}.case_results {on_cluster}
    ADD COLUMN IF NOT EXISTS judge_calls UInt32 COMMENT 'calls of judges' AFTER error_text,
    ADD COLUMN IF NOT EXISTS judge_input_tokens UInt32 AFTER judge_calls,
    ADD COLUMN IF NOT EXISTS judge_output_tokens UInt32 AFTER judge_input_tokens,
    ADD COLUMN IF NOT EXISTS judge_cost_usd Nullable(Float64) COMMENT 'no part of cost_usd' AFTER judge_output_tokens,
    ADD COLUMN IF NOT EXISTS rescored Bool COMMENT 'an answer of an earlier run, scored again' AFTER judge_cost_usd;
