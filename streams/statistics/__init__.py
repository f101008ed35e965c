"""Statistics over mergeable partials: pure functions and frozen values, no rows, clock or I/O.

    sums        exact sums of one metric of one group, and their merging
    moments     count, mean and spread, with the digits rule
    estimates   what every method returns: Estimate | NoEstimate
    means       Welch's and Student's t for differences of means, differences in percent
    single      where one mean or rate lies
    clusters    units with several events, ratios: errors by unit, design effect
    rates       two-proportion z, chi-square, Fisher's exact test, score intervals for 0/1 metrics
    ranks       which arm's values tend to be larger: Mann-Whitney from sketches
    winsor      means that a few huge values cannot make
    sequential  asymptotic confidence sequences and always-valid p-values
    exact       rates and bounded means, valid at every look and any sample size
    one_sided   bounds on one side, valid at every look
    equivalence not worse, or not different, by more than a margin
    paired      two models on the same cases
    quantiles   intervals of quantiles from sketches
    adjustment  less noise with a covariate (CUPED)
    regression  less noise with several covariates
    strata      less noise by strata: like compared with like
    srm         sample-ratio mismatch, valid at every look
    assignment  units in two arms, and how units are split
    drift       does the effect last: novelty, carry-over
    multiple    several comparisons at once: Bonferroni, Holm, Benjamini-Hochberg, also of e-values
    pairs       many arms: all pairs, ranks with ties
    online_fdr  a stream of tests (LORD++)
    evidence    e-values and how they combine
    planning    sample size, detectable difference, power, days left, method beside method
    spending    group-sequential bounds for planned looks
    planned     what a planned look says, from the numbers of that look
    looks       power and expected size of a test that stops at the first look that decides
    bayes       probability to be best, expected loss
    ranking     Bradley-Terry and Elo from pairwise judgements
    bandit      traffic weights by Thompson sampling, what other weights would have given
    delayed     rewards that come late, weights that change by period
    offpolicy   what other choices would have given: inverse propensity, doubly robust
    needs       which aggregates each method is computed from
    version     which version of these formulas a verdict was made by

docs/statistics.md explains all of it in plain words and says which number to trust.
"""
