"""Whether a regular expression is found in the answer, or what it picks out is right.

Always in a worker: Python's `re` may need exponential time and cannot be interrupted there.
"""

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from agents.evaluation.scorers.base import (
    Absent,
    Fields,
    Found,
    Options,
    Scorer,
    references,
    shorten,
)
from agents.evaluation.scorers.normalise import normalise


class RegexOptions(Options):
    """`pattern`, or `pattern_field`: the case's field that holds it. With `group`, what that group
    (number or name) matched has to be one of the right answers in `reference`, normalised.
    """

    pattern: str | None = None
    pattern_field: str | None = None
    whole: bool = Field(False, description="the pattern has to match the answer from end to end")
    pick: Literal["first", "last"] = Field("last", description="which match `group` is taken of")
    ignore_case: bool = False
    multiline: bool = False
    dot_all: bool = False
    expect: Literal["match", "no match"] = "match"
    group: int | str | None = None
    reference: str = "answer"

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            raise ValueError(f"no regular expression: {error}") from None
        return pattern

    @model_validator(mode="after")
    def _is_complete(self) -> "RegexOptions":
        if (self.pattern is None) == (self.pattern_field is None):
            raise ValueError("give either pattern or pattern_field")
        if self.group is not None and self.expect == "no match":
            raise ValueError("group says what a match has to hold; expect must be 'match'")
        if self.pattern is not None and self.group is not None:
            compiled = re.compile(self.pattern)
            known = {*range(compiled.groups + 1), *compiled.groupindex}
            if self.group not in known:
                raise ValueError(f"the pattern has no group {self.group!r}")
        return self

    @property
    def flags(self) -> int:
        """For `re`."""
        return (
            (re.IGNORECASE if self.ignore_case else 0)
            | (re.MULTILINE if self.multiline else 0)
            | (re.DOTALL if self.dot_all else 0)
        )


def score(answer: str, fields: Fields, options: RegexOptions) -> Found | Absent:
    """1 when the answer is as the pattern wants it, else 0."""
    pattern = _pattern(fields, options)
    if isinstance(pattern, Absent):
        return pattern
    found = _search(pattern, answer, options)
    if options.group is not None:
        return _group(found, fields, options)
    as_wanted = (found is not None) == (options.expect == "match")
    label = "match" if found is not None else "no match"
    seen = f"found {shorten(found.group())!r}" if found is not None else None
    return Found(float(as_wanted), label, seen)


def _pattern(fields: Fields, options: RegexOptions) -> re.Pattern[str] | Absent:
    text = options.pattern
    if options.pattern_field is not None:
        values = references(fields, options.pattern_field)
        if isinstance(values, Absent):
            return values
        text = values[0]
    try:
        return re.compile(text or "", options.flags)
    except (re.error, RecursionError, OverflowError) as error:
        return Absent(f"the field {options.pattern_field!r} holds no regular expression: {error}")


def _search(pattern: re.Pattern[str], answer: str, options: RegexOptions) -> re.Match[str] | None:
    if options.whole:
        return pattern.fullmatch(answer)
    found = None
    for found in pattern.finditer(answer):  # noqa: B007 - the last one is wanted
        if options.group is None or options.pick == "first":
            break
    return found


def _group(found: re.Match[str] | None, fields: Fields, options: RegexOptions) -> Found | Absent:
    wanted = references(fields, options.reference)
    if isinstance(wanted, Absent):
        return wanted
    if found is None:
        return Found(0.0, "no match")
    assert options.group is not None
    try:
        picked = found.group(options.group) or ""
    except IndexError:
        return Absent(f"the pattern of the case has no group {options.group!r}")
    right = normalise(picked) in {normalise(text) for text in wanted}
    return Found(float(right), "match" if right else "wrong", f"picked {shorten(picked)!r}")


REGEX = Scorer("regex", "1", RegexOptions, score, time_limit_s=lambda _: 5.0)
