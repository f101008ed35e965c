"""What a countable event looks like: the data lane's rules, applied before an event leaves.

An event that passes here is counted; one that does not would become a dead letter, so the caller
hears of it at once. Times are held against this machine's clock, as the data lane holds them
against the broker's.
"""

import math
import numbers
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from rheostat_client.errors import InvalidValue

TEXT_BYTES_MAX = 256
AHEAD_MS_MAX = 5 * 60 * 1000
DAY_MS = 86_400_000
TOKENS_MAX = 2**31 - 1
COST_USD_MAX = 1_000_000.0
CUSTOM_METRIC = re.compile(r"^[a-z][a-z0-9_.]{0,63}\Z")
RESERVED_METRICS = ("latency_ms", "ttft_ms", "input_tokens", "output_tokens", "cost_usd", "error")
"""Names that only the inference itself can report; quality may also be judged later."""
SAFE_CHARACTERS = TEXT_BYTES_MAX // 4
"""No text of this many characters is too long, whatever they are."""


class Range(NamedTuple):
    """Allowed values, both ends included. `above` excludes the lower end."""

    low: float
    high: float
    above: bool = False
    integer: bool = False


class EventRules(NamedTuple):
    """Rules of one record. Texts and numbers in `optional` may be None; texts are never empty."""

    texts: tuple[str, ...]
    optional_texts: tuple[str, ...]
    numbers: Mapping[str, Range]
    optional_numbers: Mapping[str, Range]


_TOKENS = Range(0, TOKENS_MAX, integer=True)
_DIMENSIONS = ("org_id", "model_id", "model_version", "capability", "unit_id")

INFERENCE = EventRules(
    texts=("event_id", *_DIMENSIONS),
    optional_texts=("ab_test_id", "arm", "selection_id", "error_type"),
    numbers={
        "latency_ms": Range(0, DAY_MS),
        "input_tokens": _TOKENS,
        "output_tokens": _TOKENS,
        "cached_input_tokens": _TOKENS,
    },
    optional_numbers={
        "ttft_ms": Range(0, DAY_MS),
        "cost_usd": Range(0, COST_USD_MAX),
        "propensity": Range(0, 1, above=True),
        "quality": Range(0, 1),
    },
)
FEEDBACK = EventRules(
    texts=("event_id", "inference_id", *_DIMENSIONS, "metric", "source"),
    optional_texts=("ab_test_id", "arm"),
    numbers={"value": Range(-1e15, 1e15)},
    optional_numbers={},
)


def check(rules: EventRules, record: dict[str, Any]) -> dict[str, Any]:
    """`record` with its numbers as plain int and float. Raises InvalidValue."""
    for field in rules.texts:
        text(field, record[field])
    for field in rules.optional_texts:
        if record[field] is not None:
            text(field, record[field])
    for field, limits in rules.numbers.items():
        record[field] = number(field, record[field], limits)
    for field, limits in rules.optional_numbers.items():
        if record[field] is not None:
            record[field] = number(field, record[field], limits)
    return record


def text(field: str, value: object) -> str:
    """A text that is not empty and has at most TEXT_BYTES_MAX bytes of UTF-8."""
    if type(value) is str and 0 < len(value) <= SAFE_CHARACTERS and value.isascii():
        return value
    if not isinstance(value, str):
        raise InvalidValue(field, "must be a text", value)
    if not value:
        raise InvalidValue(field, "must not be empty", value)
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise InvalidValue(field, "cannot be written as UTF-8", value) from None
    if size > TEXT_BYTES_MAX:
        raise InvalidValue(field, f"has {size} bytes, at most {TEXT_BYTES_MAX} are taken", value)
    return value


def number(field: str, value: Any, limits: Range) -> float | int:
    """A finite number within its limits, as a plain int or float."""
    if type(value) is not float and type(value) is not int:
        value = _plain(field, value)
    if limits.integer and type(value) is not int:
        raise InvalidValue(field, "must be a whole number", value)
    if not math.isfinite(value):
        raise InvalidValue(field, "must be finite", value)
    if value > limits.high or value < limits.low or (limits.above and value == limits.low):
        opening = "above" if limits.above else "from"
        reason = f"must be {opening} {limits.low:g} to {limits.high:.12g}"
        raise InvalidValue(field, reason, value)
    return int(value) if limits.integer else float(value)


def _plain(field: str, value: Any) -> float | int:
    """Numbers of other libraries, NumPy's among them; never a bool."""
    if not isinstance(value, bool):
        if isinstance(value, numbers.Integral):
            return int(value)
        if isinstance(value, numbers.Real):
            return float(value)
    raise InvalidValue(field, "must be a number", value)


def metric_name(value: object) -> str:
    """The name of a metric that feedback may carry."""
    name = text("metric", value)
    if not CUSTOM_METRIC.match(name):
        raise InvalidValue("metric", f"must match {CUSTOM_METRIC.pattern}", value)
    if name in RESERVED_METRICS:
        raise InvalidValue("metric", "is measured by the call itself", value)
    return name


def moment_ms(field: str, value: object, now_ms: int, keep_ms: int) -> int:
    """A time with its zone, in milliseconds since 1970, recent enough to be counted."""
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise InvalidValue(field, "must be a datetime with a time zone", value)
    return in_time(field, round(value.timestamp() * 1000), now_ms, keep_ms)


def in_time(field: str, at_ms: int, now_ms: int, keep_ms: int) -> int:
    """`at_ms` when it is neither ahead of the clock nor older than what is kept."""
    if at_ms > now_ms + AHEAD_MS_MAX:
        raise InvalidValue(field, f"is {at_ms - now_ms} ms ahead of the clock", at_ms)
    if at_ms < now_ms - keep_ms:
        raise InvalidValue(field, f"is older than {keep_ms / DAY_MS:g} days", at_ms)
    return at_ms
