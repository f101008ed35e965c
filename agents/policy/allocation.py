"""Shares of traffic that follow the evidence: Thompson sampling or top-two, with a floor.

Weights are drawn from what is believed of each choice: a normal distribution around its estimate
with its standard error. They are the probabilities themselves, not single draws, so that a unit
keeps its arm as long as they do not change. Top-two takes draws: its random numbers come from
`seed`, so that the same question has the same answer in every process and in a replay.
"""

import uuid
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from schemas.entities import Allocation
from streams.statistics.bandit import thompson, top_two
from streams.statistics.bayes import NormalPosterior

_SEEDS = uuid.UUID("b7a5d1c6-0df2-5b63-9a0f-5d1f1f7c9f43")


class Believed(NamedTuple):
    """A choice, oriented so that more is better; the error is above 0."""

    mean: float
    error: float


def shares(allocation: Allocation, choices: Sequence[Believed], seed: str) -> list[float]:
    """A share of each choice, adding up to 1, none below the floor (or an equal share, if the
    floor is above it). `allocation.method` is not 'fixed'."""
    if len(choices) < 2:
        return [1.0] * len(choices)
    floor = min(allocation.floor, 1 / len(choices))
    believed = [NormalPosterior(*choice) for choice in choices]
    if allocation.method == "thompson":
        return thompson(believed, floor)
    return top_two(believed, floor, np.random.default_rng(uuid.uuid5(_SEEDS, seed).int))
