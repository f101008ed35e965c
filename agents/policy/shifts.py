"""Has a model become worse? One minute against the half hour before it.

Test. Of the calls in the minute and in the baseline together, some are bad: failed, or slower than
the pooled 90th percentile. If nothing changed, how many of the bad ones fall into the minute is
hypergeometric whatever the distribution of latencies (Fisher's exact test; pooling the percentile
keeps it exact, since it treats both parts alike). One-sided: only worse is an alarm.

False alarms. Minutes are disjoint and each is tested once, so a level of

    alpha = ALARMS_PER_DAY / (MINUTES_PER_DAY * 2 kinds * series of the organisation)

gives at most ALARMS_PER_DAY expected false alarms per organisation and day (union bound), as far as
calls of different minutes are exchangeable. Real traffic drifts with the hour, hence an effect that
matters is demanded too: MIN_ERROR_RISE, or SLOW_FACTOR times as many slow calls.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from scipy.stats import hypergeom

from agents.policy.sums import Tally

Kind = Literal["error_rate", "latency"]
KINDS: tuple[Kind, ...] = ("error_rate", "latency")
WINDOW_MS = 60_000
BASELINE_WINDOWS = 30
ALARMS_PER_DAY = 0.1
MINUTES_PER_DAY = 1440
CALLS_MIN = 30
BASELINE_CALLS_MIN = 200
BASELINE_WINDOWS_MIN = 5
MIN_ERROR_RISE = 0.01
SLOW_QUANTILE = 0.90
SLOW_FACTOR = 2.0
CALM_LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class Shift:
    """One comparison. `value` and `expected` are error rates, or p95 latencies in ms."""

    kind: Kind
    p_value: float
    value: float
    expected: float
    matters: bool

    def alarms(self, alpha: float) -> bool:
        """Whether this minute starts an alarm at this level."""
        return self.matters and self.p_value < alpha

    @property
    def calm(self) -> bool:
        """Whether this minute looks like the baseline."""
        return not self.matters or self.p_value >= CALM_LEVEL


@dataclass(frozen=True, slots=True)
class NoShift:
    """Why nothing can be said."""

    reason: str


def level(series: int) -> float:
    """alpha of one test, in an organisation with so many models and capabilities in traffic."""
    return ALARMS_PER_DAY / (MINUTES_PER_DAY * len(KINDS) * max(1, series))


def compare(kind: Kind, minute: Tally, before: Iterable[Tally]) -> Shift | NoShift:
    """`minute` against the minutes in `before`."""
    baseline, windows = Tally(), 0
    for tally in before:
        baseline.add(tally)
        windows += 1
    if minute.events < CALLS_MIN:
        return NoShift(f"{minute.events} calls in the minute; {CALLS_MIN} are needed")
    if baseline.events < BASELINE_CALLS_MIN or windows < BASELINE_WINDOWS_MIN:
        return NoShift(f"{baseline.events} calls in {windows} minutes before are too few")
    return _errors(minute, baseline) if kind == "error_rate" else _latency(minute, baseline)


def _errors(minute: Tally, baseline: Tally) -> Shift:
    value, expected = minute.errors / minute.events, baseline.errors / baseline.events
    p_value = _tail(minute.errors, minute.events, baseline.errors, baseline.events)
    return Shift("error_rate", p_value, value, expected, value - expected >= MIN_ERROR_RISE)


def _latency(minute: Tally, baseline: Tally) -> Shift | NoShift:
    pooled = Tally()
    pooled.add(minute)
    pooled.add(baseline)
    limit = _quantile_key(pooled, SLOW_QUANTILE)
    now, then = minute.latency_quantile_ms(0.95), baseline.latency_quantile_ms(0.95)
    if limit is None or now is None or then is None:
        return NoShift("no latencies")
    slow, slow_before = _above(minute, limit), _above(baseline, limit)
    n, n_before = sum(minute.bins.values()), sum(baseline.bins.values())
    matters = slow / n >= SLOW_FACTOR * slow_before / n_before
    return Shift("latency", _tail(slow, n, slow_before, n_before), now, then, matters)


def _tail(bad: int, n: int, bad_before: int, n_before: int) -> float:
    """P(at least `bad` of all bad ones fall into the minute) if nothing changed."""
    return float(hypergeom.sf(bad - 1, n + n_before, bad + bad_before, n))


def _quantile_key(tally: Tally, q: float) -> int | None:
    """The bin that holds the q-quantile."""
    rank, seen = q * sum(tally.bins.values()), 0
    for key in sorted(tally.bins):
        seen += tally.bins[key]
        if seen >= rank:
            return key
    return None


def _above(tally: Tally, key: int) -> int:
    return sum(count for k, count in tally.bins.items() if k > key)
