"""BLEU and chrF of one answer, by sacrebleu: values in [0, 1], the library's divided by 100."""

import logging
from functools import lru_cache
from typing import Literal

from pydantic import Field
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from agents.evaluation.scorers.base import (
    Absent,
    Fields,
    Found,
    ReferenceOptions,
    Scorer,
    references,
)

logging.getLogger("sacrebleu").setLevel(logging.ERROR)
CHARACTERS_MAX = 200_000
"""Longer answers are not compared: seconds of work for a number that says 'much too long'."""


class BleuOptions(ReferenceOptions):
    """`tokenize`: sacrebleu's tokenizers that need no download."""

    tokenize: Literal["13a", "intl", "char", "zh", "none"] = "13a"
    lowercase: bool = False
    max_order: int = Field(4, ge=1, le=9, description="longest n-grams that count")


class ChrfOptions(ReferenceOptions):
    """`word_order` 2: chrF++."""

    char_order: int = Field(6, ge=1, le=20)
    word_order: int = Field(0, ge=0, le=4)
    beta: int = Field(2, ge=1, le=10, description="how much more recall counts than precision")
    lowercase: bool = False


def bleu(answer: str, fields: Fields, options: BleuOptions) -> Found | Absent:
    """Sentence BLEU with effective order and exponential smoothing.

    Kishore Papineni et al., "BLEU", ACL 2002; smoothing: Boxing Chen, Colin Cherry, WMT 2014,
    method 3; as Matt Post, "A call for clarity in reporting BLEU scores", WMT 2018. The mean over
    cases is no corpus BLEU.
    """
    wanted = _comparable(answer, fields, options.reference)
    if isinstance(wanted, Absent):
        return wanted
    metric = _bleu(options)
    found = metric.sentence_score(answer, wanted)
    return Found(_share(found.score), explanation=f"{found}; {metric.get_signature()}")


def chrf(answer: str, fields: Fields, options: ChrfOptions) -> Found | Absent:
    """F-score of character n-grams (and words): Maja Popović, WMT 2015 (chrF) and 2017 (chrF++)."""
    wanted = _comparable(answer, fields, options.reference)
    if isinstance(wanted, Absent):
        return wanted
    metric = _chrf(options)
    found = metric.sentence_score(answer, wanted)
    return Found(_share(found.score), explanation=f"{found}; {metric.get_signature()}")


def _comparable(answer: str, fields: Fields, name: str) -> list[str] | Absent:
    wanted = references(fields, name)
    if isinstance(wanted, Absent):
        return wanted
    if not any(text.strip() for text in wanted):
        return Absent(f"the field {name!r} of the case is empty")
    if max(len(answer), *map(len, wanted)) > CHARACTERS_MAX:
        return Absent(f"longer than {CHARACTERS_MAX} characters: not compared")
    return list(wanted)


def _share(score: float) -> float:
    # Rounding of the library's logarithms reaches beyond 100 by some 1e-13.
    return min(max(score / 100, 0.0), 1.0)


@lru_cache(64)
def _bleu(options: BleuOptions) -> BLEU:
    return BLEU(
        lowercase=options.lowercase,
        tokenize=options.tokenize,
        max_ngram_order=options.max_order,
        effective_order=True,
    )


@lru_cache(64)
def _chrf(options: ChrfOptions) -> CHRF:
    return CHRF(options.char_order, options.word_order, options.beta, lowercase=options.lowercase)


BLEU_SCORE = Scorer("bleu", "1", BleuOptions, bleu)
CHRF_SCORE = Scorer("chrf", "1", ChrfOptions, chrf)
