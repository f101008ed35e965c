"""Figures by flat key, what they are held against, and the arithmetic between them. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Figure = float | int | str
Figures = Mapping[str, Figure]


@dataclass(frozen=True, slots=True)
class Target:
    """A figure has to be at least or at most `bound`."""

    kind: Literal["at least", "at most"]
    bound: float

    def met(self, value: float) -> bool:
        """Whether the value is on the right side; NaN never is."""
        return value >= self.bound if self.kind == "at least" else value <= self.bound

    def __str__(self) -> str:
        return f"{'≥' if self.kind == 'at least' else '≤'} {self.bound:,.6g}"


TARGETS: Mapping[str, Target] = {
    "data_lane.events_per_cpu_second": Target("at least", 450_000),
    "data_lane.ratio_to_consume": Target("at least", 1 / 3),
    "data_lane.ratio_to_kafka_streams": Target("at least", 5),
    "storage_lane.ratio_to_insert_arrow": Target("at least", 0.5),
    "end_to_end.pane_p99_ms": Target("at most", 2000),
    "end_to_end.selection_p99_ms": Target("at most", 2000),
    "worker.rss_mb": Target("at most", 600),
    "worker.rss_growth_mb_per_minute": Target("at most", 10),
    "scaling.events_growth": Target("at most", 1.1),
    "scaling.panes_growth": Target("at most", 1.1),
    "runner.cpu_ms_per_case": Target("at most", 2),
    "runner.ratio_to_ideal": Target("at most", 1.3),
    "planner.rss_mb": Target("at most", 600),
    "client.choose_p99_us": Target("at most", 50),
    "client.report_us": Target("at most", 20),
    "stats.verdict_ms": Target("at most", 2),
    "stats.tests_per_cpu_second": Target("at least", 1000),
    # alpha, and what 10,000 simulated tests of a sound method exceed once in a thousand times.
    "stats.worst_false_positive_rate": Target("at most", 0.0568),
    "stats.power_gap_points": Target("at most", 2),
    "stats.unit_analysis_ms": Target("at most", 300),
    "api.metrics_query_ms": Target("at most", 200),
    "registry.write_p99_ms": Target("at most", 150),
    "api.reads_per_cpu_second": Target("at least", 1000),
    "api.read_p99_ms": Target("at most", 20),
}


def percentile(values: Sequence[float], q: float) -> float:
    """The smallest value with at least a share q of the values at or below it (nearest rank).

    Raises ValueError without values: no figure is better than 0.
    """
    if not values:
        raise ValueError("a percentile of nothing")
    return sorted(values)[max(0, math.ceil(q * len(values)) - 1)]


def median(values: Sequence[float]) -> float:
    """The middle value, the mean of the middle two. Raises ValueError without values."""
    if not values:
        raise ValueError("a median of nothing")
    ordered, middle = sorted(values), len(values) // 2
    return ordered[middle] if len(values) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def ratio(a: Sequence[float], b: Sequence[float]) -> float:
    """Median of a[i] / b[i]: pairs that ran next to each other met the same machine.

    Raises ValueError when the numbers of runs differ, or there are none.
    """
    return median([x / y for x, y in zip(a, b, strict=True)])


def slope(at: Sequence[float], values: Sequence[float]) -> float:
    """Least-squares growth of the values per unit of `at`. Raises ValueError below two points."""
    if len(at) < 2:
        raise ValueError("a slope of fewer than two points")
    mean_at, mean = sum(at) / len(at), sum(values) / len(values)
    spread = sum((x - mean_at) ** 2 for x in at)
    return sum((x - mean_at) * (y - mean) for x, y in zip(at, values, strict=True)) / spread


def merged(before: Figures, parts: Sequence[str], now: Figures) -> dict[str, Figure]:
    """Earlier figures with these parts' figures replaced by what they gave now.

    A part is the piece of a key before the dot.
    """
    kept = {key: value for key, value in before.items() if key.partition(".")[0] not in parts}
    return dict(sorted({**kept, **now}.items()))
