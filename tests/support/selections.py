"""Selection updates and registry facts to start from in tests of the client."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from rheostat_client.selections import Candidate, Update
from schemas.catalog import committed
from schemas.convert import to_record
from schemas.entities import Entity
from schemas.records import Candidate as WrittenCandidate
from schemas.records import RegistryFact, SelectionUpdate
from schemas.wire import Codec

CODEC = Codec(committed())
NOW_MS = 1_790_000_000_000


def candidate(model_id: str, weight: float, rank: int = 1, **changes: Any) -> Candidate:
    """A candidate that serves."""
    return Candidate(model_id, "1", rank, weight, weight > 0)._replace(**changes)


def update(weights: Mapping[str, float], **changes: Any) -> Update:
    """An update of acme's capability chat, issued at NOW_MS and valid for a minute."""
    candidates = tuple(
        candidate(model_id, weight, rank)
        for rank, (model_id, weight) in enumerate(weights.items(), 1)
    )
    made = Update("sel-1", "acme", "chat", NOW_MS, NOW_MS + 60_000, "because", candidates)
    return made._replace(**changes)


def written(update: Update) -> bytes:
    """The message as the selector agent writes it."""
    record = SelectionUpdate(
        selection_id=update.selection_id,
        org_id=update.org_id,
        capability=update.capability,
        issued_at=_moment(update.issued_at_ms),
        expires_at=_moment(update.expires_at_ms),
        policy_version=1,
        reason=update.reason,
        candidates=tuple(
            WrittenCandidate(
                model_id=c.model_id,
                model_version=c.model_version,
                rank=c.rank,
                weight=c.weight,
                eligible=c.eligible,
                score=None,
                score_lower=None,
                samples=100,
                quality=c.quality,
                error_rate=c.error_rate,
                latency_p95_ms=c.latency_p95_ms,
                cost_usd_mean=c.cost_usd_mean,
                reasons=c.reasons,
            )
            for c in update.candidates
        ),
    )
    return CODEC.encode("SelectionUpdate", to_record(record))


def fact(entity: Entity, version: int = 1, deleted: bool = False) -> bytes:
    """The message of an accepted entity, or of its deletion."""
    accepted = RegistryFact(version, "test", _moment(NOW_MS), f"c-{version}", entity, deleted)
    return CODEC.encode("RegistryFact", to_record(accepted))


def _moment(at_ms: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=at_ms)
