"""The stretch of time and the step that a question about metrics asks for. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from api.problems import invalid
from sinks.metric_points import DAY_S, HOUR_S, PANE_S, Resolution, resolution

DEFAULT_SPAN = timedelta(days=1)
POINTS_MAX = 5_000
DEFAULT_POINTS = 120
PANES_S = 90 * DAY_S
"""How long panes are kept (sinks.migrate.TableOptions); hours are kept longer."""
STEPS_S = (10, 30, 60, 300, 600, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600)
"""Steps that are proposed; beyond them whole days."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """From `since_s` to before `until_s`, seconds since 1970; `step_s` 0: not cut into steps.

    `resolution`: what it is read from.
    """

    since_s: int
    until_s: int
    step_s: int
    resolution: Resolution

    @property
    def since(self) -> datetime:
        return datetime.fromtimestamp(self.since_s, UTC)

    @property
    def until(self) -> datetime:
        return datetime.fromtimestamp(self.until_s, UTC)


def whole(since: datetime | None, until: datetime | None, now: datetime) -> Stretch:
    """Not cut. Rounded outwards to what can be read: panes, or hours in long stretches.

    Raises Problem 422.
    """
    begin, end = _ends(since, until, now)
    read_from = resolution(end - begin - 1, 0)  # ends were rounded to whole seconds
    unit = HOUR_S if read_from == "hour" else PANE_S
    return _kept(Stretch(begin // unit * unit, -(-end // unit) * unit, 0, read_from), now)


def cut(
    since: datetime | None, until: datetime | None, step_s: int | None, lines: int, now: datetime
) -> Stretch:
    """Cut into steps, rounded outwards to whole ones, so that the same steps come back whenever one
    asks. `lines`: how many points a step may have. `step_s` None: about DEFAULT_POINTS steps.

    Raises Problem 422: for more than POINTS_MAX points it names a step that has fewer.
    """
    begin, end = _ends(since, until, now)
    if step_s is None:
        step_s = _step(begin, end, min(DEFAULT_POINTS, max(1, POINTS_MAX // lines)))
    if step_s < PANE_S or step_s % PANE_S:
        raise invalid("step", f"is {step_s} s; it must be a multiple of {PANE_S} s")
    read_from = resolution(end - begin - 1, step_s)
    found = Stretch(begin // step_s * step_s, -(-end // step_s) * step_s, step_s, read_from)
    asked = (found.until_s - found.since_s) // step_s * lines
    if asked > POINTS_MAX:
        least = _step(begin, end, max(1, POINTS_MAX // lines - 1))
        text = f"up to {asked:,} points are asked for, at most {POINTS_MAX:,} are given"
        raise invalid("step", f"{text}: use step={least} or more, or ask for fewer metrics")
    return _kept(found, now)


def _step(begin: int, end: int, steps: int) -> int:
    """The shortest step of STEPS_S, or of whole days, that cuts the stretch into so many."""
    least = (end - begin) / steps
    return next((s for s in STEPS_S if s >= least), int(-(-least // DAY_S)) * DAY_S)


def _ends(since: datetime | None, until: datetime | None, now: datetime) -> tuple[int, int]:
    for name, at in (("from", since), ("to", until)):
        if at is not None and at.tzinfo is None:
            raise invalid(name, "needs a time zone, such as 2026-01-01T00:00:00Z")
        if at is not None and not 1970 <= at.year <= 2100:
            raise invalid(name, "is not between 1970 and 2100")
    end = now if until is None else until
    begin = end - DEFAULT_SPAN if since is None else since
    if begin >= end:
        raise invalid("from", f"{begin.isoformat()} is not before {end.isoformat()}")
    return int(begin.timestamp()), -int(-end.timestamp() // 1)


def _kept(found: Stretch, now: datetime) -> Stretch:
    if found.resolution == "pane" and found.since_s < now.timestamp() - PANES_S:
        text = f"anything finer than an hour is kept for {PANES_S // DAY_S} days"
        raise invalid("step", f"{text}: use a multiple of {HOUR_S}, over more than a day")
    return found
