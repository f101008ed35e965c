"""When something is an alert: shifts in episodes, selections that fell back, split traffic.

One alert an episode. An episode starts with the minute that alarms and ends after CALM_MINUTES in a
row that look like the baseline, or after EPISODE_MINUTES, when the new level becomes the normal
one. While it lasts its minutes do not enter the baseline, nor do they afterwards.

`alert_id` is made of what the alert is about and of event time: the same story told again, in a
replay, has the same ids.
"""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from agents.policy.contributions import ModelKey, Place
from agents.policy.shifts import (
    BASELINE_WINDOWS,
    KINDS,
    WINDOW_MS,
    Kind,
    NoShift,
    Shift,
    compare,
    level,
)
from agents.policy.sums import Tally
from agents.policy.window import Block, Span, Window
from schemas.records import AbVerdict, Alert, SelectionUpdate, Severity
from streams.times import moment

CALM_MINUTES = 3
EPISODE_MINUTES = 25
GRACE_MS = 10_000
LENGTH_MS = 3_600_000
"""How much event time is kept: its blocks are WINDOW_MS wide (agents.policy.window)."""
_IDS = uuid.UUID("b0c9a6a4-6c6f-5c55-9a43-0a1c5e1b7e02")

Subject = tuple[ModelKey, Kind]


@dataclass(frozen=True, slots=True)
class Episode:
    """From `start_ms` on. `end_ms` None: it lasts; kept after its end to stay out of baselines."""

    start_ms: int
    minutes: int = 1
    calm: int = 0
    end_ms: int | None = None
    accepted: bool = False
    """It lasted until its level became the normal one: earlier minutes are the past."""


@dataclass(slots=True)
class Watch:
    """The episodes of one capability; minutes before `closed_ms` were judged."""

    closed_ms: int = 0
    episodes: dict[Subject, Episode] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scene:
    """What a capability is judged by. `series`: of the organisation, see agents.policy.shifts."""

    place: Place
    window: Window
    watch: Watch
    series: int
    now: datetime


def judge(scene: Scene) -> list[Alert]:
    """Judges every minute that is over, in order, once; changes `scene.watch`."""
    window, watch = scene.window, scene.watch
    over = [
        span
        for span in sorted(window.blocks)
        if span.start_ms >= watch.closed_ms and span.end_ms + GRACE_MS <= window.watermark_ms
    ]
    alerts: list[Alert] = []
    for span in over:
        for key, minute in window.blocks[span].unpack().items():
            for kind in KINDS:
                alerts += _minute(scene, (key, kind), span, minute)
        watch.closed_ms = span.end_ms
    horizon = window.watermark_ms - LENGTH_MS - 2 * EPISODE_MINUTES * WINDOW_MS
    for subject, episode in list(watch.episodes.items()):
        if episode.start_ms < horizon:
            del watch.episodes[subject]
    return alerts


def _minute(scene: Scene, subject: Subject, span: Span, minute: Tally) -> Iterator[Alert]:
    key, kind = subject
    episodes = scene.watch.episodes
    episode = episodes.get(subject)
    shift = compare(kind, minute, _baseline(key, span, scene.window.blocks, episode))
    if isinstance(shift, NoShift):
        return
    if episode is not None and episode.end_ms is None:
        episodes[subject] = _continued(episode, shift, span)
    elif shift.alarms(level(scene.series)):
        episodes[subject] = Episode(span.start_ms)
        yield _shift_alert(scene.place, key, shift, span, scene.now)


def _baseline(
    key: ModelKey, span: Span, blocks: Mapping[Span, Block], episode: Episode | None
) -> Iterator[Tally]:
    """The model's minutes before this one that were normal."""
    end_ms = span.start_ms
    begin_ms = end_ms - BASELINE_WINDOWS * WINDOW_MS
    if episode is not None and episode.end_ms is None:
        end_ms, begin_ms = episode.start_ms, episode.start_ms - BASELINE_WINDOWS * WINDOW_MS
    for other, block in blocks.items():
        inside = begin_ms <= other.start_ms < end_ms
        if inside and not _abnormal(other, episode) and (tally := block.unpack().get(key)):
            yield tally


def _abnormal(span: Span, episode: Episode | None) -> bool:
    if episode is None or episode.end_ms is None:
        return False
    begin_ms = 0 if episode.accepted else episode.start_ms
    end_ms = episode.start_ms if episode.accepted else episode.end_ms
    return begin_ms <= span.start_ms < end_ms


def _continued(episode: Episode, shift: Shift, span: Span) -> Episode:
    calm = episode.calm + 1 if shift.calm else 0
    if calm >= CALM_MINUTES:
        # The calm minutes are normal again.
        return replace(episode, calm=calm, end_ms=span.end_ms - CALM_MINUTES * WINDOW_MS)
    if episode.minutes + 1 >= EPISODE_MINUTES:
        return replace(episode, end_ms=span.end_ms, accepted=True)
    return replace(episode, minutes=episode.minutes + 1, calm=calm)


def _shift_alert(place: Place, key: ModelKey, shift: Shift, span: Span, now: datetime) -> Alert:
    if shift.kind == "error_rate":
        what = f"error rate {shift.value:.2%} in a minute, {shift.expected:.2%} before"
    else:
        what = f"p95 latency {shift.value:.0f} ms in a minute, {shift.expected:.0f} ms before"
    return Alert(
        alert_id=_id(*place, *key, shift.kind, span.start_ms),
        org_id=place.org_id,
        raised_at=now,
        kind=shift.kind,
        severity="critical" if shift.kind == "error_rate" and shift.value >= 0.5 else "warning",
        message=f"{key.model_id} {key.model_version} for {place.capability}: {what}",
        capability=place.capability,
        model_id=key.model_id,
        value=shift.value,
        expected=shift.expected,
        p_value=shift.p_value,
        window_start=moment(span.start_ms),
        window_end=moment(span.end_ms),
    )


def fallback_alert(update: SelectionUpdate, since: datetime, first: bool, now: datetime) -> Alert:
    """A selection that is not based on measurements. `first`: no selection came before it."""
    nobody = not any(c.eligible for c in update.candidates)
    severity: Severity = "critical" if nobody else "info" if first else "warning"
    return Alert(
        alert_id=_id("fallback", update.org_id, update.capability, since.isoformat()),
        org_id=update.org_id,
        raised_at=now,
        kind="selector_fallback",
        severity=severity,
        message=f"Selection for {update.capability}: {update.reason}",
        capability=update.capability,
    )


def srm_alert(verdict: AbVerdict, now: datetime) -> Alert:
    """Traffic of an A/B test that is not split as configured. One for each test."""
    counts = ", ".join(f"{arm.arm} {arm.events}" for arm in verdict.arms)
    return Alert(
        alert_id=_id("srm", verdict.org_id, verdict.ab_test_id),
        org_id=verdict.org_id,
        raised_at=now,
        kind="srm",
        severity="critical",
        message=f"A/B test {verdict.ab_test_id}: the arms' traffic is not split by their weights "
        f"({counts}), so its comparisons cannot be trusted; look for lost or redirected events",
        capability=verdict.capability,
        ab_test_id=verdict.ab_test_id,
        p_value=verdict.srm_p_value,
    )


def dump_watch(watch: Watch) -> dict[str, Any]:
    """As JSON values."""
    episodes = [
        [*key, kind, e.start_ms, e.minutes, e.calm, e.end_ms, e.accepted]
        for (key, kind), e in sorted(watch.episodes.items())
    ]
    return {"closed_ms": watch.closed_ms, "episodes": episodes}


def load_watch(value: Mapping[str, Any]) -> Watch:
    """The inverse of `dump_watch`."""
    watch = Watch(value["closed_ms"])
    for model_id, version, kind, *rest in value["episodes"]:
        watch.episodes[ModelKey(model_id, version), kind] = Episode(*rest)
    return watch


def _id(*parts: object) -> str:
    return str(uuid.uuid5(_IDS, "\x1f".join(str(part) for part in parts)))
