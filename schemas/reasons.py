"""Why a record was rejected: the closed list of reason codes that dead letters carry."""

from enum import StrEnum


class Reason(StrEnum):
    """Stable codes; programs group and alert by them."""

    EMPTY_VALUE = "empty_value"  # null or no bytes
    OVERSIZED = "oversized"  # larger than MAX_VALUE_BYTES
    NOT_WIRE_FORMAT = "not_wire_format"  # does not start with byte 0 and a schema id
    UNKNOWN_SCHEMA = "unknown_schema"  # a schema id that nobody registered
    INCOMPATIBLE_SCHEMA = "incompatible_schema"  # of this record, but ours cannot read it
    WRONG_RECORD = "wrong_record"  # a known schema that does not belong on this topic
    MALFORMED_BODY = "malformed_body"  # cut short, trailing bytes, or a bad union branch
    BAD_UTF8 = "bad_utf8"  # a text that is not UTF-8
    MISSING_TEXT = "missing_text"  # a required text is empty
    TEXT_TOO_LONG = "text_too_long"  # longer than MAX_TEXT_BYTES
    NOT_FINITE = "not_finite"  # NaN or infinity
    OUT_OF_RANGE = "out_of_range"  # a number outside its limits, such as a negative latency
    INCONSISTENT = "inconsistent"  # fields that contradict each other
    FUTURE_TIME = "future_time"  # more than MAX_AHEAD_MS ahead of the clock
    TOO_OLD = "too_old"  # older than the retention
    BAD_METRIC = "bad_metric"  # a custom metric's name is malformed or reserved


MAX_VALUE_BYTES = 256 * 1024
MAX_TEXT_BYTES = 256
MAX_AHEAD_MS = 5 * 60 * 1000
