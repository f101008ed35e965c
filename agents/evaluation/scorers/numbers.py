"""Whether the number in an answer is the right one, within a tolerance."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from agents.evaluation.scorers.base import (
    Absent,
    Fields,
    Found,
    ReferenceOptions,
    Scorer,
    references,
)

WORDS = {"thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12, "k": 1e3, "M": 1e6}
"""Factors that stand behind a number. Single letters count only where no letter follows."""
_DIGITS = r"\d{1,3}(?:[%s]\d{3})+(?!\d)|\d+"
_SIGN = r"(?:(?<![\w.,)])[-−+])?"
_UNIT = r"(?:\s?(?P<unit>%|°?[A-Za-zµ²³/€£$¥]+))?"
_BOXED = re.compile(r"\\boxed\s*\{([^{}]{1,200})\}")
_FRACTION = re.compile(r"\\[dt]?frac\s*\{([^{}]{1,50})\}\s*\{([^{}]{1,50})\}")


class NumericOptions(ReferenceOptions):
    """The answer is right when |given - wanted| <= max(absolute, relative |wanted|)."""

    absolute: float = Field(1e-9, ge=0, allow_inf_nan=False)
    relative: float = Field(1e-6, ge=0, allow_inf_nan=False)
    pick: Literal["last", "first", "any", "only"] = Field(
        "last", description="which number of the answer counts; only: it has to be the only one"
    )
    decimal: Literal[".", ","] = Field(".", description="the decimal mark; the other one groups")
    percent: Literal["as_written", "fraction"] = Field(
        "as_written", description="fraction: 12 % is 0.12"
    )
    units: Mapping[str, float] = Field(
        default_factory=dict, description="factors of units behind a number: {'km': 1000, 'm': 1}"
    )


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it was written, and what it comes to."""

    text: str
    value: float


def numbers(text: str, options: NumericOptions) -> tuple[Number, ...]:
    """Every number in a text: signs, grouped digits, decimals, exponents, a/b, \\frac, units.

    What stands in \\boxed{...} is all that counts when there is any. A hyphen behind a letter or
    digit is no sign ('2020-21', 'GPT-4').
    """
    boxed = _BOXED.findall(plain := _FRACTION.sub(r"\1/\2", text))
    plain = " ".join(boxed) if boxed else plain
    groups = ",'’_\u00a0\u202f" if options.decimal == "." else ".'’_\u00a0\u202f"
    digits = _DIGITS % re.escape(groups)
    mark = re.escape(options.decimal)
    pattern = re.compile(
        rf"(?P<sign>{_SIGN})[$€£¥]?"
        rf"(?:(?P<whole>{digits})(?:{mark}(?P<part>\d+))?|(?<![\d.,]){mark}(?P<bare>\d+))"
        rf"(?P<power>[eE][-+−]?\d{{1,3}}(?!\w))?(?:\s?/\s?(?P<below>\d+(?:\.\d+)?))?{_UNIT}"
    )
    found = []
    for match in pattern.finditer(plain):
        value = _value(match, groups, options)
        if value is not None and math.isfinite(value):
            found.append(Number(match.group().strip(), value))
    return tuple(found)


def score(answer: str, fields: Fields, options: NumericOptions) -> Found | Absent:
    """1 when the number that counts is one of the right ones within the tolerance, else 0."""
    texts = references(fields, options.reference)
    if isinstance(texts, Absent):
        return texts
    wanted = [found[-1].value for text in texts if (found := numbers(text, options))]
    if not wanted:
        return Absent(f"the field {options.reference!r} of the case holds no number")
    given = numbers(answer, options)
    if not given:
        return Found(0.0, "no number")
    if options.pick == "only" and len({number.value for number in given}) > 1:
        return Found(0.0, "several numbers", f"{len(given)} numbers where one was asked for")
    picked = (
        given if options.pick == "any" else given[:1] if options.pick == "first" else given[-1:]
    )
    for number in picked:
        for value in wanted:
            if abs(number.value - value) <= max(options.absolute, options.relative * abs(value)):
                return Found(1.0, "match", f"{number.text!r} is {value:.12g}")
    shown = ", ".join(f"{value:.12g}" for value in wanted[:3])
    return Found(0.0, "wrong", f"{picked[-1].text!r} is {picked[-1].value:.12g}, not {shown}")


def _value(match: re.Match[str], groups: str, options: NumericOptions) -> float | None:
    whole, part = match["whole"] or "", match["part"] or match["bare"] or ""
    digits = whole.translate({ord(mark): None for mark in groups})
    power = (match["power"] or "").replace("−", "-")
    value = float(f"{digits or '0'}.{part or '0'}{power}")
    if match["below"] is not None:
        below = float(match["below"])
        if not below:
            return None
        value /= below
    if match["sign"].strip() in ("-", "−"):
        value = -value
    return value * _factor(match["unit"], options)


def _factor(unit: str | None, options: NumericOptions) -> float:
    if unit is None:
        return 1.0
    if unit in options.units:
        return options.units[unit]
    if unit == "%":
        return 0.01 if options.percent == "fraction" else 1.0
    return WORDS.get(unit, WORDS.get(unit.lower(), 1.0) if len(unit) > 1 else 1.0)


NUMERIC = Scorer("numeric", "1", NumericOptions, score, heavy=False)
