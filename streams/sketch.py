"""Quantile sketch: logarithmic bins with relative error <= 1 % (the DDSketch guarantee).

Charles Masson, Jee E. Rim, Homin K. Lee: "DDSketch: a fast and fully-mergeable quantile sketch with
relative-error guarantees", PVLDB 12(12), 2019. With gamma = (1 + a) / (1 - a), a value x > 0 falls
into bin i = ceil(log_gamma x), and 2 gamma^i / (gamma + 1) is within a * x of x.

Keys are Int32 and grow with the value, so that sorting keys sorts values: i + OFFSET for x > 0, 0
for 0, -(i + OFFSET) for x < 0. ClickHouse computes the same keys and values (see sinks/migrations).
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

RELATIVE_ERROR = 0.01
GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
OFFSET = 40_000
"""Larger than any |i|: log_gamma of the smallest and largest double are about -37,300, 35,500."""
LARGEST = float(np.finfo(np.float64).max)
_INVERSE_LOG_GAMMA = 1 / math.log(GAMMA)

Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]


def keys(values: Floats) -> Ints:
    """The bin key of every finite value."""
    magnitude = np.abs(values)
    zero = magnitude == 0
    exponents = np.log(np.where(zero, 1.0, magnitude)) * _INVERSE_LOG_GAMMA
    index = np.ceil(exponents).astype(np.int32) + np.int32(OFFSET)
    signed = np.where(values < 0, -index, index)
    signed[zero] = 0
    return signed.astype(np.int32, copy=False)


def value_of(key: int) -> float:
    """The value that stands for a bin: within RELATIVE_ERROR of everything in it."""
    if key == 0:
        return 0.0
    # In logarithms: gamma ** i alone overflows for the largest doubles.
    log_value = (abs(key) - OFFSET) * math.log(GAMMA) + math.log(2 / (GAMMA + 1))
    return math.copysign(math.exp(min(log_value, 709.78)), key)


def ends_of(key: int) -> tuple[float, float]:
    """(lower, upper) of a bin. Where two bins meet, the end is the same number to the last bit."""
    if key == 0:
        return 0.0, 0.0
    index = abs(key) - OFFSET
    inner, outer = _power(index - 1), _power(index)
    return (inner, outer) if key > 0 else (-outer, -inner)


def _power(index: int) -> float:
    """gamma ** index; the largest double where it exceeds that, since no value does."""
    log_value = index * math.log(GAMMA)
    return math.exp(log_value) if log_value < 709.78 else LARGEST


def quantile(bins: Sequence[int], counts: Sequence[int], q: float) -> float | None:
    """The q-quantile of a sketch with sorted `bins`; None when it is empty.

    The lower empirical quantile: the value whose 0-based rank is floor(q * (n - 1)).
    """
    total = sum(counts)
    if total == 0:
        return None
    rank = math.floor(q * (total - 1))
    seen = 0
    for key, count in zip(bins, counts, strict=True):
        seen += count
        if seen > rank:
            return value_of(key)
    raise ValueError("a sketch's counts must not be negative")
