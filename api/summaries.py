"""From mergeable state to what is shown: means with intervals, quantiles, comparisons. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sinks.metric_points import Point
from streams.sketch import quantile
from streams.statistics.estimates import Estimate, NoEstimate
from streams.statistics.means import welch
from streams.statistics.moments import moments
from streams.statistics.quantiles import Sketch
from streams.statistics.rates import rate, two_proportions
from streams.statistics.single import interval
from streams.statistics.sums import Sums

QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True, slots=True)
class Group:
    """What is estimated together. `model_version` '' and `at` None: all of them."""

    at: datetime | None
    model_id: str
    model_version: str
    metric: str


@dataclass(frozen=True, slots=True)
class State:
    """The mergeable state of a group. Zero: State()."""

    sums: Sums = field(default_factory=Sums)
    total_nanos: int = 0
    bins: tuple[tuple[int, int], ...] = ()

    def merge(self, other: "State") -> "State":
        """Exact, commutative and associative."""
        if not other.sums.n:
            return self
        counts = dict(self.bins)
        for key, count in other.bins:
            counts[key] = counts.get(key, 0) + count
        return State(
            self.sums + other.sums,
            self.total_nanos + other.total_nanos,
            tuple(sorted(counts.items())),
        )

    @property
    def sketch(self) -> Sketch:
        return Sketch([key for key, _ in self.bins], [count for _, count in self.bins])


def grouped(points: Iterable[Point], steps: bool, versions: bool) -> dict[Group, State]:
    """States by group, apart by step and by version or not; in the order of the points."""
    found: dict[Group, State] = {}
    for p in points:
        version = p.model_version if versions else ""
        group = Group(p.at if steps else None, p.model_id, version, p.metric)
        bins = tuple(sorted(zip(p.sketch.bins, p.sketch.counts, strict=True)))
        state = State(p.sums, p.total_nanos, bins)
        before = found.get(group)
        found[group] = state if before is None else before.merge(state)
    return found


def summary(group: Group, state: State, alpha: float) -> dict[str, Any]:
    """The fields of api.metric_bodies.Summary. What has no estimate is None, with the reason."""
    sums = state.sums
    known = interval(sums, alpha)
    unknown = isinstance(known, NoEstimate)
    sketch = state.sketch
    money = group.metric == "cost_usd"
    return {
        "at": group.at,
        "model_id": group.model_id,
        "model_version": group.model_version or None,
        "metric": group.metric,
        "n": sums.n,
        "mean": sums.mean,
        "lower": None if isinstance(known, NoEstimate) else known.lower,
        "upper": None if isinstance(known, NoEstimate) else known.upper,
        "reason": known.reason if isinstance(known, NoEstimate) and unknown else None,
        "total": state.total_nanos / 1e9 if money else _total(sums),
        "minimum": sums.minimum,
        "maximum": sums.maximum,
        **{name: quantile(sketch.bins, sketch.counts, q) for name, q in QUANTILES.items()},
    }


def _total(sums: Sums) -> float | None:
    mean = sums.mean
    return None if mean is None else mean * sums.n


def difference(other: Sums, base: Sums, alpha: float) -> Estimate | NoEstimate:
    """other - base at one look: two proportions for rates, else Welch's t."""
    if not other.n or not base.n:
        return NoEstimate("no values of " + ("either" if not other.n + base.n else "one of them"))
    if other.binary and base.binary:
        ours, theirs = rate(other), rate(base)
        if isinstance(ours, NoEstimate) or isinstance(theirs, NoEstimate):
            return NoEstimate("not rates")
        return two_proportions(ours, theirs, alpha)
    mine, reference = moments(other), moments(base)
    for found in (mine, reference):
        if isinstance(found, NoEstimate):
            return found
    assert not isinstance(mine, NoEstimate)
    assert not isinstance(reference, NoEstimate)
    return welch(mine, reference, alpha)


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison; `version` '': all versions of the model together."""

    model_id: str
    version: str

    @property
    def label(self) -> str:
        """Its name in the answer."""
        return f"{self.model_id}@{self.version}" if self.version else self.model_id

    def of(self, points: Iterable[Point]) -> list[Point]:
        """Its points, under its label."""
        return [
            replace(p, model_id=self.label)
            for p in points
            if p.model_id == self.model_id and self.version in ("", p.model_version)
        ]


def compared(
    states: dict[Group, State], base: str, others: Sequence[str], alpha: float
) -> list[dict[str, Any]]:
    """Every other side against the base, by metric (and step): fields of Difference."""
    places = list(dict.fromkeys((g.at, g.metric) for g in states))
    found = []
    for at, metric in places:
        reference = states.get(Group(at, base, "", metric), State()).sums
        for other in others:
            sums = states.get(Group(at, other, "", metric), State()).sums
            known = difference(sums, reference, alpha)
            exact = None if isinstance(known, NoEstimate) else known
            found.append(
                {
                    "at": at,
                    "metric": metric,
                    "base": base,
                    "other": other,
                    "n_base": reference.n,
                    "n_other": sums.n,
                    "difference": exact.value if exact else _plain(sums, reference),
                    "lower": exact.lower if exact else None,
                    "upper": exact.upper if exact else None,
                    "p_value": exact.p_value if exact else None,
                    "reason": known.reason if isinstance(known, NoEstimate) else None,
                }
            )
    return found


def _plain(other: Sums, base: Sums) -> float | None:
    a, b = other.mean, base.mean
    return None if a is None or b is None else a - b
