"""Statistics over mergeable partials: pure functions and frozen values, no rows, clock or I/O.

    sums        exact sums of one metric of one group, and their merging
    moments     count, mean and spread, with the digits rule
    estimates   what every method returns: Estimate | NoEstimate
    means       Welch's t for differences of means
    clusters    units with several events, ratios: errors by unit, design effect
    rates       two-proportion z, chi-square and score intervals for 0/1 metrics
    sequential  asymptotic confidence sequences and always-valid p-values
    exact       rates and bounded means, valid at every look and any sample size
    one_sided   bounds on one side, valid at every look
    equivalence not worse, or not different, by more than a margin
    paired      two models on the same cases
    quantiles   intervals of quantiles from sketches
    adjustment  less noise with a covariate (CUPED)
    srm         sample-ratio mismatch, valid at every look
    multiple    several comparisons at once: Bonferroni, Holm, Benjamini-Hochberg
    online_fdr  a stream of tests (LORD++)
    evidence    e-values and how they combine
    planning    sample size, detectable difference, power, days left
    spending    group-sequential bounds for planned looks
    bayes       probability to be best, expected loss
    ranking     Bradley-Terry and Elo from pairwise judgements
    bandit      traffic weights by Thompson sampling, inverse-propensity estimates
    needs       which aggregates each method is computed from

docs/statistics.md explains all of it in plain words and says which number to trust.
"""
