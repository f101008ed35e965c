"""Which label a classifier's answer gives. Accuracy, macro F1 and the confusion matrix of many
answers are computed from the labels of these scores: agents.evaluation.confusion.
"""

import re
from collections.abc import Mapping, Sequence

from pydantic import Field, model_validator

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

ARROW = " → "
"""Stands between the right label and the given one in a score's label: 'spam → ham'."""
UNKNOWN = "?"
"""The given label of an answer that names none, or several."""


class LabelOptions(ReferenceOptions):
    """`labels`: all there are, or an object of each with other words for it."""

    labels: tuple[str, ...] | Mapping[str, tuple[str, ...]] | None = None
    labels_field: str | None = Field(None, description="the case's field with a list of labels")

    @model_validator(mode="after")
    def _is_complete(self) -> "LabelOptions":
        if (self.labels is None) == (self.labels_field is None):
            raise ValueError("give either labels or labels_field")
        if self.labels is not None:
            wrong = _mistake(tuple(self.labels))
            if wrong is not None:
                raise ValueError(wrong)
        return self


def score(answer: str, fields: Fields, options: LabelOptions) -> Found | Absent:
    """1 when the answer gives the right label, else 0; label: 'right → given', '?' for none."""
    words = _words(fields, options)
    if isinstance(words, Absent):
        return words
    texts = references(fields, options.reference)
    if isinstance(texts, Absent):
        return texts
    right = next((label for label in words if normalise(label) == normalise(texts[0])), None)
    if right is None:
        return Absent(f"{shorten(texts[0])!r} in {options.reference!r} is none of the labels")
    given = extract(answer, words)
    return Found(float(given == right), f"{right}{ARROW}{given or UNKNOWN}")


def extract(answer: str, words: Mapping[str, Sequence[str]]) -> str | None:
    """The label that an answer gives; None: none, or more than one.

    The first of these that names exactly one: the whole answer; what follows the last 'label:',
    'category:', 'class:', 'sentiment:' or 'answer:'; the first line; the last line; the answer,
    anywhere in it.
    """
    lines = [line for line in answer.splitlines() if line.strip()]
    said = re.findall(r"(?i:label|category|class|sentiment|answer)\W{0,4}:([^\n]{1,200})", answer)
    for part in [answer, *said[-1:]]:
        plain = normalise(part)
        for label, others in words.items():
            if plain and plain in (normalise(word) for word in (label, *others)):
                return label
    for part in [*said[-1:], *lines[:1], *lines[-1:], answer]:
        named = _named(part, words)
        if len(named) == 1:
            return named.pop()
    return None


def _named(part: str, words: Mapping[str, Sequence[str]]) -> set[str]:
    plain = f" {normalise(part)} "
    every = [
        (normalise(word), label) for label, others in words.items() for word in (label, *others)
    ]
    every.sort(key=lambda pair: -len(pair[0]))
    named = set()
    for word, label in every:
        # Longest first, and taken out: 'not toxic' does not also name 'toxic'.
        if word and f" {word} " in plain:
            named.add(label)
            plain = plain.replace(f" {word} ", "  ")
    return named


def pair(label: str | None) -> tuple[str, str | None] | None:
    """(right, given) from a score's label; given None: the answer gave none."""
    right, arrow, given = (label or "").partition(ARROW)
    return (right, None if given == UNKNOWN else given) if arrow else None


def _words(fields: Fields, options: LabelOptions) -> Mapping[str, Sequence[str]] | Absent:
    if isinstance(options.labels, Mapping):
        return options.labels
    if options.labels is not None:
        return dict.fromkeys(options.labels, ())
    assert options.labels_field is not None
    found = references(fields, options.labels_field)
    if isinstance(found, Absent):
        return found
    wrong = _mistake(found)
    return (
        Absent(f"the field {options.labels_field!r}: {wrong}")
        if wrong
        else dict.fromkeys(found, ())
    )


def _mistake(labels: Sequence[str]) -> str | None:
    plain = [normalise(label) for label in labels]
    if len(labels) < 2:
        return "there have to be two labels at least"
    if not all(plain) or len(set(plain)) < len(plain):
        return "labels have to differ in letters or digits, whatever their case"
    if any(ARROW in label or label == UNKNOWN for label in labels):
        return f"no label may be {UNKNOWN!r} or contain {ARROW!r}"
    return None


CLASSIFICATION = Scorer("classification", "1", LabelOptions, score, heavy=False)
