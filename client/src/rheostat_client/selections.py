"""Updates of the selector: ranked candidates of one capability, as values."""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from rheostat_client.errors import MalformedMessage


class Candidate(NamedTuple):
    """One model as the selector saw it. None: no estimate."""

    model_id: str
    model_version: str
    rank: int
    weight: float
    eligible: bool
    quality: float | None = None
    error_rate: float | None = None
    latency_p95_ms: float | None = None
    cost_usd_mean: float | None = None
    reasons: tuple[str, ...] = ()

    @property
    def serves(self) -> bool:
        """Whether it gets any traffic."""
        return self.eligible and self.weight > 0


class Update(NamedTuple):
    """A published selection. Times in milliseconds since 1970."""

    selection_id: str
    org_id: str
    capability: str
    issued_at_ms: int
    expires_at_ms: int
    reason: str
    candidates: tuple[Candidate, ...]


def parse(record: Mapping[str, Any]) -> Update:
    """The update of a decoded record, or of one line of a snapshot.

    Fields that only newer writers know are passed over. Raises MalformedMessage.
    """
    try:
        update = Update(
            selection_id=_text(record["selection_id"]),
            org_id=_text(record["org_id"]),
            capability=_text(record["capability"]),
            issued_at_ms=_moment(record["issued_at"]),
            expires_at_ms=_moment(record["expires_at"]),
            reason=str(record["reason"]),
            candidates=tuple(_candidate(c) for c in record["candidates"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MalformedMessage(f"not a usable SelectionUpdate: {error!r}") from error
    names = [(c.model_id, c.model_version) for c in update.candidates]
    if len(set(names)) != len(names):
        raise MalformedMessage(f"update {update.selection_id} names a candidate twice")
    return update


def to_json(update: Update) -> dict[str, Any]:
    """What `parse` reads back."""
    return {
        "selection_id": update.selection_id,
        "org_id": update.org_id,
        "capability": update.capability,
        "issued_at": update.issued_at_ms,
        "expires_at": update.expires_at_ms,
        "reason": update.reason,
        "candidates": [c._asdict() for c in update.candidates],
    }


def _candidate(record: Mapping[str, Any]) -> Candidate:
    return Candidate(
        model_id=_text(record["model_id"]),
        model_version=_text(record["model_version"]),
        rank=int(record["rank"]),
        weight=_amount(record["weight"]),
        eligible=record["eligible"] is True,
        quality=_estimate(record.get("quality")),
        error_rate=_estimate(record.get("error_rate")),
        latency_p95_ms=_estimate(record.get("latency_p95_ms")),
        cost_usd_mean=_estimate(record.get("cost_usd_mean")),
        reasons=tuple(str(r) for r in record.get("reasons", ())),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"an empty name: {value!r}")
    return value


def _amount(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number) or number < 0:
        raise ValueError(f"a weight of {value!r}")
    return number


def _estimate(value: Any) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return float(value)


def _moment(value: Any) -> int:
    return round(value.timestamp() * 1000) if isinstance(value, datetime) else int(value)
