-- Which version of the formulas a verdict's numbers come from.
ALTER TABLE {database}.ab_verdicts {on_cluster}
    ADD COLUMN IF NOT EXISTS statistics_version Nullable(UInt32) AFTER decided_by;
