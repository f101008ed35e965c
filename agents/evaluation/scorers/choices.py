"""Which choice of a multiple-choice question an answer names."""

import re
from collections.abc import Mapping, Sequence

from pydantic import Field

from agents.evaluation.scorers.base import (
    Absent,
    Fields,
    Found,
    ReferenceOptions,
    Scorer,
    as_text,
    references,
    shorten,
)
from agents.evaluation.scorers.normalise import normalise

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class ChoiceOptions(ReferenceOptions):
    """`choices`: the case's field with them, a list or an object of letters; None: only letters.

    The right answer is given as a letter, as the text of a choice, or as its index from 0.
    """

    choices: str | None = Field("choices", description="null: letters are compared, without texts")
    letters: str = Field("ABCD", pattern=r"^[A-Z]{2,26}$", description="when choices is null")


def score(answer: str, fields: Fields, options: ChoiceOptions) -> Found | Absent:
    """1 when the answer names the right choice and no other, else 0; its label is the letter."""
    choices = _choices(fields, options)
    if isinstance(choices, Absent):
        return choices
    texts = references(fields, options.reference)
    if isinstance(texts, Absent):
        return texts
    right = {letter for text in texts if (letter := _letter(text, choices)) is not None}
    if not right:
        return Absent(f"{shorten(texts[0])!r} in {options.reference!r} is none of the choices")
    named = extract(answer, choices)
    if named is None:
        return Found(0.0, "none", "the answer names no choice, or several")
    return Found(float(named in right), named, f"right is {', '.join(sorted(right))}")


def extract(answer: str, choices: Mapping[str, str]) -> str | None:
    """The letter of the choice that an answer names; None: none, or more than one.

    The first of these that finds one: the answer is a letter; the last 'answer is B', 'Answer: B'
    or \\boxed{B}; one line or more starts with a letter and a mark ('B)', '**B**') and none with
    another; the answer is, or contains, the text of exactly one choice.
    """
    any_of = "".join(choices)
    whole = re.fullmatch(rf"\W{{0,5}}([{any_of}{any_of.lower()}])\W{{0,5}}", answer.strip())
    if whole:
        return whole[1].upper()
    said = re.findall(
        rf"(?:(?i:answer|choice|option)(?i:\s+is)?\s{{0,3}}:?|\\boxed\s?\{{)[\s*_(\[\"'`]{{0,5}}"
        rf"(?:\\text\{{)?([{any_of}])(?![\w'’])",
        answer,
    )
    if said:
        return str(said[-1])
    starts = re.findall(rf"^[\s*_(\[]{{0,5}}([{any_of}])[)\].:*]", answer, re.MULTILINE)
    if len(set(starts)) == 1:
        return str(starts[0])
    return _by_text(answer, choices)


def _by_text(answer: str, choices: Mapping[str, str]) -> str | None:
    plain = f" {normalise(answer)} "
    texts = {letter: normalise(text) for letter, text in choices.items()}
    for letter, text in texts.items():
        if text and plain == f" {text} ":
            return letter
    named = [letter for letter, text in texts.items() if text and f" {text} " in plain]
    # 'very large' also contains 'large': the longer text is the one that was meant.
    longest = [
        letter
        for letter in named
        if not any(texts[letter] in texts[o] and letter != o for o in named)
    ]
    return longest[0] if len(longest) == 1 else None


def _choices(fields: Fields, options: ChoiceOptions) -> Mapping[str, str] | Absent:
    if options.choices is None:
        return dict.fromkeys(options.letters, "")
    value = fields.get(options.choices)
    if isinstance(value, Mapping) and value and all(k in LETTERS for k in value):
        return {str(letter): as_text(text) for letter, text in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str) and 2 <= len(value) <= 26:
        return dict(zip(LETTERS, map(as_text, value), strict=False))
    return Absent(
        f"the field {options.choices!r} of the case is no list of 2 to 26 choices and no object of "
        "letters; set the option choices"
    )


def _letter(reference: str, choices: Mapping[str, str]) -> str | None:
    plain = reference.strip()
    for letter, text in choices.items():
        if text and plain == text.strip():
            return letter
    if plain.upper().strip("().") in choices:
        return plain.upper().strip("().")
    if plain.isdecimal() and int(plain) < len(choices):
        return list(choices)[int(plain)]
    return None


MULTIPLE_CHOICE = Scorer("multiple_choice", "1", ChoiceOptions, score, heavy=False)
