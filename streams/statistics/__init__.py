"""Statistics over mergeable partials: pure functions and frozen values, no rows, clock or I/O.

    sums        exact sums of one metric of one group, and their merging
    moments     count, mean and spread, with the digits rule
    estimates   what every method returns: Estimate | NoEstimate
    means       Welch's t for differences of means
    rates       two-proportion z, chi-square and score intervals for 0/1 metrics
    sequential  asymptotic confidence sequences and always-valid p-values
    srm         sample-ratio mismatch, valid at every look
    multiple    several comparisons at once
    needs       which aggregates each method is computed from

docs/statistics.md explains all of it in plain words and says which number to trust.
"""
