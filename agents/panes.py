"""The selector's windows, rebuilt from ClickHouse by whoever asks what it would decide."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from agents.policy import prior
from agents.policy.contributions import NANO_PER_USD, ModelKey, Place
from agents.policy.sums import Sums, Tally, fixed
from agents.policy.window import block_width_ms
from schemas.entities import SelectionPolicy
from sinks.clickhouse import ClickHouse
from sinks.selection_panes import Mark, Population, WindowRow, mark, newest, window

MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Marks:
    """Where both windows stand. `evaluations` None: the policy does not look at them."""

    production: Mark
    evaluations: Mark | None


@dataclass(frozen=True, slots=True)
class Measured:
    """What every model did in the windows."""

    production: Mapping[ModelKey, Tally] = field(default_factory=dict)
    evaluations: Mapping[ModelKey, Tally] = field(default_factory=dict)


def look(clickhouse: ClickHouse, policy: SelectionPolicy, now_s: float) -> Marks:
    """Where the windows stand, as agents.policy.window draws them: each ends at its newest pane,
    which is never ahead of the clock, and begins with a whole block. Raises Backpressure,
    SinkBroken."""
    production, evaluations = _populations(policy)
    length_ms = int(policy.window_minutes * MINUTE_MS)
    return Marks(
        _mark(clickhouse, production, length_ms, now_s),
        _mark(clickhouse, evaluations, prior.LENGTH_MS, now_s) if policy.prior_samples else None,
    )


def measured(clickhouse: ClickHouse, policy: SelectionPolicy, at: Marks) -> Measured:
    """From the marks on. Raises Backpressure, SinkBroken."""
    production, evaluations = _populations(policy)
    return Measured(
        _tallies(clickhouse, production, at.production),
        _tallies(clickhouse, evaluations, at.evaluations),
    )


def _populations(policy: SelectionPolicy) -> tuple[Population, Population]:
    place = Place(policy.org_id, policy.capability)
    return Population(*place, "production"), Population(*place, "evaluation")


def _mark(clickhouse: ClickHouse, of: Population, length_ms: int, now_s: float) -> Mark:
    found = newest(clickhouse, of)
    width_ms = block_width_ms(length_ms)
    horizon_ms = min(found, int(now_s)) * 1000 - length_ms
    since_s = max(0, horizon_ms // width_ms * width_ms // 1000)
    return mark(clickhouse, of, found, since_s)


def _tallies(clickhouse: ClickHouse, of: Population, at: Mark | None) -> dict[ModelKey, Tally]:
    if at is None or not at.newest_s:
        return {}
    return tallied(window(clickhouse, of, at.since_s))


def tallied(rows: Iterable[WindowRow]) -> dict[ModelKey, Tally]:
    """Rows as tallies."""
    found: dict[ModelKey, Tally] = {}
    for row in rows:
        tally = found.setdefault(ModelKey(row.model_id, row.model_version), Tally())
        total = fixed(row.total)
        if row.metric == "cost_usd":
            # Money is exact in nano-dollars; the floating total is not.
            total = row.total_nanos * fixed(1.0) // NANO_PER_USD
        sums = Sums(row.n, total, fixed(row.total_sq))
        if row.metric == "error":
            tally.events, tally.errors = row.n, round(row.total)
        elif row.metric == "latency_ms":
            tally.latency_ms = sums
            tally.bins = dict(zip(row.bins, row.counts, strict=True))
        elif row.metric == "cost_usd":
            tally.cost_usd = sums
        else:
            tally.quality = sums
    return found
