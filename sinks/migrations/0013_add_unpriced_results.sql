-- Results of each model whose cost is not, or not wholly, in models.cost_nanos: nobody knows it.
ALTER TABLE {database}.evaluation_runs {on_cluster}
    ADD COLUMN IF NOT EXISTS `models.unpriced` Array(UInt64) COMMENT 'results whose cost is not known' AFTER `models.cost_nanos`;
