"""Keeps secrets out of the logs: by a field's name and by the look of a value, at any depth."""

import re
from collections.abc import Mapping, MutableMapping
from typing import Any

from agents.access.keys import TOKEN

HIDDEN = "[redacted]"
_NAMES = re.compile(
    r"(authorization|password|passwd|secret|token|api_?key|credential|cookie|private_?key|sasl)",
    re.IGNORECASE,
)
_HARMLESS = re.compile(r"(_tokens?_|_tokens$|^tokens|secret_ref$|_per_mtok$)", re.IGNORECASE)
"""Fields that count tokens, and references, which are no secrets."""
_PATTERNS = (
    (TOKEN, rf"rheo_\1_{HIDDEN}"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"), rf"\1 {HIDDEN}"),
    (re.compile(r"(?<=://)([^\s/:@]+):[^\s/@]+@"), rf"\1:{HIDDEN}@"),
)
_DEPTH = 6


def redact(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor."""
    for name, value in event.items():
        event[name] = HIDDEN if _is_secret(name, value) else redacted(value)
    return event


def redacted(value: Any, depth: int = _DEPTH) -> Any:
    """The value without what looks like a secret. The ids of keys stay: they are public."""
    if isinstance(value, str):
        for pattern, instead in _PATTERNS:
            value = pattern.sub(instead, value)
        return value
    if depth and isinstance(value, Mapping):
        return {
            name: HIDDEN if _is_secret(str(name), inner) else redacted(inner, depth - 1)
            for name, inner in value.items()
        }
    if depth and isinstance(value, list | tuple):
        return [redacted(item, depth - 1) for item in value]
    if isinstance(value, BaseException):
        return redacted(repr(value))
    return value


def _is_secret(name: str, value: Any) -> bool:
    if not isinstance(value, str | bytes | list | tuple | Mapping) or _HARMLESS.search(name):
        return False
    return _NAMES.search(name) is not None
