"""What the views show: one frozen picture of a run at an instant."""

from dataclasses import dataclass, field

from infra.demo.feed import Change, News
from schemas.records import AbVerdict
from sinks.reader import ModelMetrics

HISTORY = 60
"""How many samples of the past a picture holds."""


@dataclass(frozen=True, slots=True)
class Flow:
    """Records up to now, and the rates of the last few seconds. Histories: oldest first."""

    sent: int = 0
    malformed: int = 0
    counted: int = 0
    stored: int = 0
    sent_per_s: float = 0.0
    counted_per_s: float = 0.0
    sent_per_s_history: tuple[float, ...] = ()

    @property
    def to_count(self) -> int:
        """Good records that the broker has and metric_panes do not show yet."""
        return max(0, self.sent - self.counted)

    @property
    def to_store(self) -> int:
        """The same for rows."""
        return max(0, self.sent - self.stored)


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything a view needs. Times of the trace in seconds since its first request."""

    speed: float
    planned: int
    trace_s: float = 0.0
    span_s: float = 0.0
    elapsed_s: float = 0.0
    phase: str = "replaying"
    window_minutes: float = 30.0
    flow: Flow = Flow()
    models: tuple[ModelMetrics, ...] = ()
    news: News = field(default_factory=lambda: News({}, 0, (), ()))
    dead_letters: tuple[tuple[str, int], ...] = ()
    fault: str | None = None

    @property
    def verdict(self) -> AbVerdict | None:
        """The newest verdict, None while there is none."""
        return self.news.verdicts[-1] if self.news.verdicts else None

    @property
    def changes(self) -> tuple[Change, ...]:
        """Newest first."""
        return self.news.changes[::-1]

    @property
    def share_done(self) -> float:
        """In [0, 1]."""
        return min(1.0, self.trace_s / self.span_s) if self.span_s else 1.0
