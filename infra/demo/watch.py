"""Looks at the stack a few times a second and keeps the newest picture for the views."""

import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from infra.demo.events import Run
from infra.demo.feed import Bulletin
from infra.demo.plan import Plan
from infra.demo.replay import Replay, Sent
from infra.demo.state import HISTORY, Flow, Picture
from sinks.errors import Backpressure
from sinks.reader import Reader, Span

PERIOD_S = 0.5
RATE_OVER_S = 3.0
WINDOW_MINUTES = 30.0
Sample = tuple[float, int, int]
"""Monotonic seconds, records sent, records counted."""


@dataclass(frozen=True, slots=True)
class Context:
    """What is being watched. `counted_before`: what metric_panes held of the organisation."""

    run: Run
    plan: Plan
    speed: float
    counted_before: Mapping[str, int]


class Watch:
    """`run` looks until told to stop; `picture` is the newest state, from any thread."""

    def __init__(
        self, context: Context, replay: Replay, bulletin: Bulletin, reader: Reader
    ) -> None:
        self._context = context
        self._replay = replay
        self._bulletin = bulletin
        self._reader = reader
        self._begin = time.monotonic()
        self._samples: deque[Sample] = deque(maxlen=HISTORY + 1)
        plan, speed = context.plan, context.speed
        self._picture = Picture(speed, plan.requests, span_s=plan.span_ms / 1000)

    def run(self, stop: threading.Event) -> None:
        """Raises SinkBroken when ClickHouse refuses a query."""
        while not stop.is_set():
            try:
                self._picture = self._look()
            except Backpressure as error:  # a server is being restarted: show the last and wait
                self._picture = replace(self._picture, fault=str(error))
            stop.wait(PERIOD_S)

    def picture(self) -> Picture:
        """The newest one."""
        return self._picture

    def _look(self) -> Picture:
        sent = self._replay.sent()
        run, plan = self._context.run, self._context.plan
        now = datetime.fromtimestamp(run.clock.at(sent.trace_ms) / 1000, UTC)
        # The pane that is being filled is part of the window.
        span = Span(now - timedelta(minutes=WINDOW_MINUTES), now + timedelta(seconds=10))
        counted = _total(self._reader.counted(run.org_id)) - _total(self._context.counted_before)
        stored = _total(self._reader.stored(run.org_id, run.run_id))
        return Picture(
            speed=self._context.speed,
            planned=plan.requests,
            trace_s=sent.trace_ms / 1000,
            span_s=plan.span_ms / 1000,
            elapsed_s=time.monotonic() - self._begin,
            phase="settling" if sent.finished else "replaying",
            window_minutes=WINDOW_MINUTES,
            flow=self._flow(sent, counted, stored),
            models=tuple(self._reader.model_metrics(run.org_id, span)),
            news=self._bulletin.news(),
            dead_letters=self._letters(sent),
        )

    def _letters(self, sent: Sent) -> tuple[tuple[str, int], ...]:
        records = [at for coordinates in sent.broken.values() for at in coordinates]
        found = self._reader.dead_letters(self._replay.topic, records)
        return tuple(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    def _flow(self, sent: Sent, counted: int, stored: int) -> Flow:
        self._samples.append((time.monotonic(), sent.good + sent.bad, counted))
        return flow(tuple(self._samples), sent, counted, stored)


def flow(samples: tuple[Sample, ...], sent: Sent, counted: int, stored: int) -> Flow:
    """The flow with its rates. `samples`: at least one, oldest first."""
    last = samples[-1]
    first = next(s for s in samples if s[0] >= last[0] - RATE_OVER_S)
    history = tuple((b[1] - a[1]) / max(b[0] - a[0], 1e-9) for a, b in pairwise(samples))
    passed_s = max(last[0] - first[0], 1e-9)
    return Flow(
        sent=sent.good,
        malformed=sent.bad,
        counted=counted,
        stored=stored,
        sent_per_s=(last[1] - first[1]) / passed_s,
        counted_per_s=(last[2] - first[2]) / passed_s,
        sent_per_s_history=history,
    )


def _total(counts: Mapping[str, int]) -> int:
    return sum(counts.values())
