"""Whether the answer is the right one: exactly, normalised, and by shared tokens."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from agents.evaluation.scorers.base import (
    Absent,
    Fields,
    Found,
    ReferenceOptions,
    Scorer,
    references,
    shorten,
)
from agents.evaluation.scorers.normalise import normalise


class MatchOptions(ReferenceOptions):
    """`within`: the whole answer, or that the right one stands somewhere in it."""

    within: Literal["whole", "first_line", "last_line", "anywhere"] = "whole"
    ignore_case: bool = False


class NormalisedOptions(ReferenceOptions):
    """As MatchOptions; case never counts."""

    within: Literal["whole", "first_line", "last_line", "anywhere"] = "whole"


class F1Options(ReferenceOptions):
    """`tokens`: words, or characters for languages that do not separate words."""

    tokens: Literal["words", "characters"] = Field("words")


def exact(answer: str, fields: Fields, options: MatchOptions) -> Found | Absent:
    """1 when the answer is one of the right ones, white space at both ends aside; else 0."""
    wanted = references(fields, options.reference)
    if isinstance(wanted, Absent):
        return wanted
    part = _part(answer, options.within).strip()
    right = [text.strip() for text in wanted]
    if options.ignore_case:
        part, right = part.casefold(), [text.casefold() for text in right]
    return _verdict(part, right, options.within)


def normalised(answer: str, fields: Fields, options: NormalisedOptions) -> Found | Absent:
    """1 when the answer is one of the right ones after `normalise`; else 0."""
    wanted = references(fields, options.reference)
    if isinstance(wanted, Absent):
        return wanted
    right = [normalise(text) for text in wanted]
    if not any(right):
        return Absent(f"nothing is left of the field {options.reference!r} when it is normalised")
    part = normalise(_part(answer, options.within))
    return _verdict(part, [text for text in right if text], options.within, words=True)


def f1(answer: str, fields: Fields, options: F1Options) -> Found | Absent:
    """The harmonic mean of precision and recall of tokens, the best over the right answers.

    Tokens of the normalised texts, with their counts; 1 when both are empty. As SQuAD's evaluation
    (see `normalise`).
    """
    wanted = references(fields, options.reference)
    if isinstance(wanted, Absent):
        return wanted
    given = _tokens(answer, options.tokens)
    best, right = max((token_f1(given, _tokens(text, options.tokens)), text) for text in wanted)
    return Found(best, explanation=f"closest to {shorten(right)!r}")


def token_f1(given: Sequence[str], wanted: Sequence[str]) -> float:
    """2 PR / (P + R) = 2 shared / (given + wanted), tokens counted as often as they occur."""
    if not given and not wanted:
        return 1.0
    shared = (Counter(given) & Counter(wanted)).total()
    return 2 * shared / (len(given) + len(wanted))


def _tokens(text: str, kind: str) -> list[str]:
    plain = normalise(text)
    return plain.split() if kind == "words" else list(plain.replace(" ", ""))


def _part(answer: str, within: str) -> str:
    if within not in ("first_line", "last_line"):
        return answer
    lines = [line for line in answer.splitlines() if line.strip()]
    return lines[0 if within == "first_line" else -1] if lines else ""


def _verdict(part: str, right: list[str], within: str, words: bool = False) -> Found:
    for text in right:
        if part == text or (within == "anywhere" and _contains(part, text, words)):
            return Found(1.0, "match", f"is {shorten(text)!r}")
    shown = ", ".join(repr(shorten(text)) for text in right[:3])
    return Found(0.0, "no match", f"{shorten(part)!r} is not {shown}")


def _contains(part: str, text: str, words: bool) -> bool:
    return f" {text} " in f" {part} " if words else bool(text) and text in part


EXACT = Scorer("exact_match", "1", MatchOptions, exact, heavy=False)
NORMALISED = Scorer("normalised_match", "1", NormalisedOptions, normalised, heavy=False)
F1 = Scorer("f1", "1", F1Options, f1, heavy=False)
