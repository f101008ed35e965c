"""What other choices would have given, from logged calls: inverse propensity and doubly robust.

Each logged call has the chance (propensity) with which its model was chosen, and the chance with
which the other policy would have chosen it; w is their ratio and y the reward.

    inverse propensity     mean of w y                           unbiased; wild when w varies
    self-normalised        sum w y / sum w                       bandit.counterfactual; steadier
    doubly robust          mean of q_other + w (y - q_chosen)    right if w or q is

with q a prediction of the reward known before the call: D. G. Horvitz, D. J. Thompson, JASA 47,
1952; Miroslav Dudik, John Langford, Lihong Li, "Doubly robust policy evaluation and learning", ICML
2011. All three are means of independent values, so they can be looked at at every look by
asymptotic confidence sequences: Waudby-Smith, Wu, Ramdas, Karampatziakis, Mineiro, "Anytime-valid
off-policy inference for contextual bandits", ACM/IMS JDS 2024.

Assumes that the logged propensities are right, above 0 wherever the other policy's chance is, and
fixed before the call.
"""

import math
from collections.abc import Mapping, Sequence

from streams.statistics.bandit import Logged
from streams.statistics.estimates import Estimate, NoEstimate
from streams.statistics.means import Difference, normal
from streams.statistics.moments import Moments, moments
from streams.statistics.sums import Sums

EFFECTIVE_MIN = 30.0
"""Calls that the weighted ones must be worth, as in bandit.counterfactual."""
SPREAD_MIN = 1e-10


def inverse_propensity(logged: Logged) -> Moments | NoEstimate:
    """The mean reward under the other policy with its spread, for `at_one_look` or `anytime`."""
    if logged.effective_n < EFFECTIVE_MIN:
        return NoEstimate(f"worth {logged.effective_n:.3g} calls only: the weights are too unlike")
    mean = logged.reward / logged.n
    m2 = logged.reward_sq - logged.reward * mean
    if not (m2 > SPREAD_MIN * logged.reward_sq and m2 < math.inf):
        return NoEstimate("the weighted rewards have no spread to judge by")
    return Moments(logged.n, mean, m2)


def doubly_robust(
    ratios: Sequence[float],
    rewards: Sequence[float],
    chosen: Sequence[float],
    other: Sequence[float],
) -> Moments | NoEstimate:
    """The same, with predictions of the reward for what was `chosen` and, averaged over its
    chances, for the `other` policy; all in the order of calls.

    Predictions must not have seen these calls' rewards: fit them on earlier ones.
    """
    scores = [
        q_other + w * (y - q)
        for w, y, q, q_other in zip(ratios, rewards, chosen, other, strict=True)
    ]
    if not all(map(math.isfinite, scores)):
        return NoEstimate("some scores are not finite")
    try:
        return moments(Sums.of_values(scores))
    except OverflowError:
        return NoEstimate("the numbers are too large for double precision")


def doubly_robust_by_choice(
    folds: Sequence[Mapping[str, Logged]], shares: Mapping[str, float]
) -> Moments | NoEstimate:
    """The same from sums by choice: the prediction of a call is the weighted mean reward (sum w y /
    sum w) of its choice in the other folds, which have not seen its reward.

    `folds`: two or more parts of the calls, split without regard to rewards, by choice. `shares`:
    the other policy's, adding up to 1; w of choices it does not make is 0.
    """
    total = square = 0.0
    everything = Logged.of_folds(folds)
    if everything.effective_n < EFFECTIVE_MIN:
        return NoEstimate(f"worth {everything.effective_n:.3g} calls only: the weights are unlike")
    wanted = [choice for choice, share in shares.items() if share > 0]
    for i, fold in enumerate(folds):
        others = [other for j, other in enumerate(folds) if j != i]
        seen = {c: sum((other.get(c, Logged()) for other in others), Logged()) for c in wanted}
        missing = [choice for choice, sums in seen.items() if not sums.weight > 0]
        if missing:
            return NoEstimate(f"too few calls of {', '.join(missing)} to predict its rewards")
        predicted = {choice: sums.reward / sums.weight for choice, sums in seen.items()}
        other = math.fsum(shares[choice] * predicted[choice] for choice in wanted)
        n = sum(sums.n for sums in fold.values())
        rest = rest_sq = 0.0
        for choice in wanted:
            sums, q = fold.get(choice, Logged()), predicted[choice]
            rest += sums.reward - q * sums.weight
            rest_sq += sums.reward_sq - 2 * q * sums.reward_cross + q * q * sums.weight_sq
        total += n * other + rest
        square += n * other * other + 2 * other * rest + rest_sq
    mean = total / everything.n
    m2 = square - total * mean
    if not (m2 > SPREAD_MIN * square and m2 < math.inf):
        return NoEstimate("the scores have no spread to judge by")
    return Moments(everything.n, mean, m2)


def at_one_look(found: Moments, null: float = 0.0, alpha: float = 0.05) -> Estimate | NoEstimate:
    """The mean reward less `null` (what the present policy gives), with its interval."""
    return normal(above(found, null), alpha)


def above(found: Moments, null: float) -> Difference:
    """The mean reward less a known number, for sequential.confidence_sequence: every look."""
    return Difference(found.mean - null, math.sqrt(found.mean_variance), float(found.n), found.n)


def gain(other: Moments, present: Moments) -> Difference:
    """The other policy's mean reward less that of calls that the present one served.

    Take present calls from another sample (a control group); of the same calls, score the
    difference call by call.
    """
    squared = other.mean_variance + present.mean_variance
    effective = (other.variance + present.variance) / squared
    smaller = min(other.n, present.n)
    return Difference(other.mean - present.mean, math.sqrt(squared), effective, smaller)


def propensities_p(logged: Logged) -> float | NoEstimate:
    """p-value of 'the weights average 1', as they do when the propensities are right. One look.

    A small one: propensities were logged wrongly, or calls were lost unevenly. Do not trust any
    estimate then.
    """
    if logged.n < 2:
        return NoEstimate(f"{logged.n} calls have no spread")
    mean = logged.weight / logged.n
    m2 = logged.weight_sq - logged.weight * mean
    if not (m2 > SPREAD_MIN * logged.weight_sq and m2 < math.inf):
        return NoEstimate("all weights are equal: nothing to check")
    found = normal(above(Moments(logged.n, mean, m2), 1.0), 0.05)
    return found if isinstance(found, NoEstimate) else found.p_value
