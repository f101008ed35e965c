"""ROUGE of one answer, by rouge-score."""

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from agents.evaluation.scorers.base import (
    Absent,
    Fields,
    Found,
    ReferenceOptions,
    Scorer,
    references,
)

if TYPE_CHECKING:
    from rouge_score.rouge_scorer import RougeScorer

CELLS_MAX = 20_000_000
"""Of the table of the longest common subsequence: tokens of the answer times the reference's."""


class RougeOptions(ReferenceOptions):
    """`variant` rougeLsum: by lines. `tokens` ascii: a-z and 0-9, as the original; unicode: words
    of any script.
    """

    variant: Literal["rouge1", "rouge2", "rougeL", "rougeLsum"] = "rougeL"
    measure: Literal["fmeasure", "precision", "recall"] = "fmeasure"
    stemmer: bool = Field(False, description="Porter's, for English")
    tokens: Literal["ascii", "unicode"] = "ascii"


def score(answer: str, fields: Fields, options: RougeOptions) -> Found | Absent:
    """Chin-Yew Lin, "ROUGE: a package for automatic evaluation of summaries", 2004; the best of
    several right answers, by F.
    """
    wanted = references(fields, options.reference)
    if isinstance(wanted, Absent):
        return wanted
    counts = [len(_split(text, options)) for text in wanted]
    if not all(counts):
        hint = "; set tokens to unicode for other scripts" if options.tokens == "ascii" else ""
        return Absent(f"the field {options.reference!r} has no tokens{hint}")
    if len(_split(answer, options)) * max(counts) > CELLS_MAX:
        return Absent(f"too long to compare: over {CELLS_MAX} pairs of tokens")
    found = _rouge(options).score_multi(wanted, answer)[options.variant]
    shown = f"P {found.precision:.4f} R {found.recall:.4f} F {found.fmeasure:.4f}"
    return Found(float(getattr(found, options.measure)), explanation=shown)


class _Words:
    """Words of any script; a stemmer has no say in them."""

    def tokenize(self, text: str) -> list[str]:
        return re.findall(r"\w+", text.casefold())


def _split(text: str, options: RougeOptions) -> list[str]:
    if options.tokens == "unicode":
        return _Words().tokenize(text)
    return re.findall(r"[a-z0-9]+", text.lower())


@lru_cache(64)
def _rouge(options: RougeOptions) -> "RougeScorer":
    # Its imports (nltk, absl) take seconds.
    from rouge_score.rouge_scorer import RougeScorer

    words = _Words() if options.tokens == "unicode" else None
    return RougeScorer([options.variant], use_stemmer=options.stemmer, tokenizer=words)


ROUGE = Scorer("rouge", "1", RougeOptions, score, load=lambda: _rouge(RougeOptions()))
