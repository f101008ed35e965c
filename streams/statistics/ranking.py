"""Strength from pairwise judgements: Bradley-Terry, and the same on Elo's scale.

P(i beats j) = 1 / (1 + exp(s_j - s_i)). Ralph A. Bradley, Milton E. Terry, Biometrika 39, 1952.
Maximum likelihood by Newton's method; intervals from the inverse of the information. A tie counts
as half a win for each. Elo's scale is 400 / log 10 times s around 1000 (Arpad Elo, 1978); unlike
his running updates it does not depend on the order of judgements.

Assumes independent judgements and that one number orders the models: there are no cycles.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.special import expit, ndtri

from streams.statistics.estimates import NoEstimate

ELO_PER_UNIT = 400 / math.log(10)
ELO_CENTER = 1000.0
Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Strength:
    """Of a model, on Elo's scale; the mean of all is 1000. `rank` counts from 1; models that cannot
    be told from the one above them share its rank."""

    model: str
    elo: float
    lower: float
    upper: float
    rank: int


def bradley_terry(
    models: Sequence[str], wins: Matrix, alpha: float = 0.05
) -> list[Strength] | NoEstimate:
    """Strongest first. wins[i, j]: how often model i beat model j, ties as halves; shape (k, k).

    Raises ValueError for another shape or negative counts. No estimate unless every group of models
    has lost to and won against the others: strengths would be infinite (L. R. Ford, 1957).
    """
    k = len(models)
    if wins.shape != (k, k) or (wins < 0).any():
        raise ValueError(f"wins must be counts of shape {(k, k)}, not {wins.shape}")
    games = wins + wins.T
    np.fill_diagonal(games, 0.0)
    if k < 2 or not _connected(wins):
        return NoEstimate("some models only won or only lost against all others, or never met them")
    strengths, covariance = _fitted(wins, games)
    z = -float(ndtri(alpha / 2))
    order = np.argsort(-strengths, kind="stable").tolist()
    ranks = [1]
    for place, (above, below) in enumerate(pairwise(order), start=2):
        apart = covariance[above, above] + covariance[below, below] - 2 * covariance[above, below]
        told = strengths[above] - strengths[below] > z * math.sqrt(apart)
        ranks.append(place if told else ranks[-1])
    found = []
    for i, rank in zip(order, ranks, strict=True):
        elo = ELO_CENTER + ELO_PER_UNIT * float(strengths[i])
        half = z * ELO_PER_UNIT * math.sqrt(covariance[i, i])
        found.append(Strength(models[i], elo, elo - half, elo + half, rank))
    return found


def _connected(wins: Matrix) -> bool:
    """Whether each model reaches each other by a chain of wins."""
    reach = (wins > 0) | np.eye(len(wins), dtype=bool)
    for _ in range(len(wins).bit_length()):
        reach = reach @ reach
    return bool(reach.all())


def _fitted(wins: Matrix, games: Matrix) -> tuple[Matrix, Matrix]:
    """(strengths with mean 0, their covariance)."""
    k = len(wins)
    off = wins - np.diag(np.diag(wins))
    strengths: Matrix = np.zeros(k)
    for _ in range(200):
        chance = expit(strengths[:, None] - strengths[None, :])
        slope = off.sum(axis=1) - (games * chance).sum(axis=1)
        flow = games * chance * (1 - chance)
        information = np.diag(flow.sum(axis=1)) - flow
        # The information is singular along (1, .., 1), which the mean of 0 fixes.
        step = np.linalg.solve(information + 1.0 / k, slope)
        # A long step far from the maximum may overshoot.
        strengths += step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-12:
            break
    covariance: Matrix = np.asarray(np.linalg.pinv(information), np.float64)
    return strengths - strengths.mean(), covariance
