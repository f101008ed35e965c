"""Traffic weights that follow the evidence, with floors; and what other weights would have given.

Thompson sampling: each arm as often as it is probably best (William R. Thompson, Biometrika 25,
1933). Top-two: a leader, and with probability 1 - beta a challenger, which is the best of another
draw; finds the best arm sooner (Daniel Russo, Operations Research 68(6), 2020). A floor keeps every
arm measured, so that rewards that come late and tastes that change are seen.

Weights hold for a period, so that comparisons within a period are not confounded by traffic whose
mix changes with them. Inverse propensity: D. G. Horvitz, D. J. Thompson, JASA 47, 1952; the
self-normalised form is J. Hajek's.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from streams.statistics.bayes import Posterior, beliefs
from streams.statistics.estimates import NoEstimate
from streams.statistics.exact import Interval


def thompson(arms: Sequence[Posterior], floor: float) -> list[float]:
    """A weight for each arm, adding up to 1, none below `floor` (at most 1 / arms)."""
    return floored([belief.best for belief in beliefs(arms)], floor)


def top_two(
    arms: Sequence[Posterior],
    floor: float,
    rng: np.random.Generator,
    beta: float = 0.5,
    draws: int = 10_000,
) -> list[float]:
    """The same by top-two Thompson sampling; `draws` of `rng` give weights good to 1 / sqrt(draws).

    The challenger of a draw is the arm that leads once the leader is left out, weighted by how
    probable it is to be best: P(j leads) / (1 - P(i leads)).
    """
    lead = np.array([belief.best for belief in beliefs(arms)])
    if len(arms) == 1:
        return [1.0]
    samples = np.stack([arm.quantile(rng.uniform(1e-12, 1, draws)) for arm in arms])
    leaders = np.bincount(samples.argmax(axis=0), minlength=len(arms)) / draws
    weights = beta * leaders
    for i, share in enumerate(leaders.tolist()):
        others = np.where(np.arange(len(arms)) == i, 0.0, lead)
        total = float(others.sum())
        # When no other arm is ever best, challengers are equally improbable.
        rest = others / total if total > 0 else (np.arange(len(arms)) != i) / (len(arms) - 1)
        weights = weights + (1 - beta) * share * rest
    return floored(weights.tolist(), floor)


def floored(weights: Sequence[float], floor: float) -> list[float]:
    """The weights with none below `floor`; what that takes comes from the others in proportion.

    Raises ValueError when the floors alone exceed 1.
    """
    if not 0 <= floor * len(weights) <= 1:
        raise ValueError(f"a floor of {floor:g} for each of {len(weights)} arms leaves no choice")
    total = math.fsum(weights)
    shares = [weight / total for weight in weights]
    low: set[int] = set()
    while True:
        rest = math.fsum(share for i, share in enumerate(shares) if i not in low)
        scale = (1 - floor * len(low)) / rest if rest > 0 else 0.0
        below = {i for i, s in enumerate(shares) if i not in low and s * scale < floor}
        if not below:
            return [floor if i in low else share * scale for i, share in enumerate(shares)]
        low |= below


@dataclass(frozen=True, slots=True)
class Logged:
    """Sums over calls of w = P(other weights choose what was chosen) / propensity, with reward y:
    of w, w^2, w y, w^2 y and w^2 y^2. Zero: Logged()."""

    n: int = 0
    weight: float = 0.0
    weight_sq: float = 0.0
    reward: float = 0.0
    reward_cross: float = 0.0
    reward_sq: float = 0.0

    @classmethod
    def of_folds(cls, folds: Iterable[Mapping[str, "Logged"]]) -> "Logged":
        """Of all calls, whatever was chosen: `folds` are parts of the calls, each by choice."""
        return sum((sums for fold in folds for sums in fold.values()), cls())

    @classmethod
    def of_calls(cls, ratios: Sequence[float], rewards: Sequence[float]) -> "Logged":
        """From w and y of each call. Propensities are above 0, so w is finite."""
        both = list(zip(ratios, rewards, strict=True))
        return cls(
            len(both),
            math.fsum(ratios),
            math.fsum(w * w for w in ratios),
            math.fsum(w * y for w, y in both),
            math.fsum(w * w * y for w, y in both),
            math.fsum(w * w * y * y for w, y in both),
        )

    def __add__(self, other: "Logged") -> "Logged":
        return Logged(
            self.n + other.n,
            self.weight + other.weight,
            self.weight_sq + other.weight_sq,
            self.reward + other.reward,
            self.reward_cross + other.reward_cross,
            self.reward_sq + other.reward_sq,
        )

    @property
    def effective_n(self) -> float:
        """Calls that this is worth: (sum w)^2 / sum w^2."""
        return self.weight**2 / self.weight_sq if self.weight_sq else 0.0


def counterfactual(logged: Logged, z: float = 1.959963984540054) -> Interval | NoEstimate:
    """The mean reward under the other weights, self-normalised: sum w y / sum w, at one look.

    Error by linearisation, sqrt(sum w^2 (y - mean)^2) / sum w. Assumes that the propensities are
    right and that no choice of the other weights had a propensity of 0.
    """
    if logged.effective_n < 30:
        return NoEstimate(f"worth {logged.effective_n:.3g} calls only: the weights are too unlike")
    mean = logged.reward / logged.weight
    spread = logged.reward_sq - 2 * mean * logged.reward_cross + mean * mean * logged.weight_sq
    if not spread > 1e-10 * logged.reward_sq:
        return NoEstimate("the rewards have no spread to judge by")
    half = z * math.sqrt(spread) / logged.weight
    return Interval(mean, mean - half, mean + half)
