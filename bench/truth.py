"""What the metrics of synthetic traffic must come to, computed beside the product's code."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from bench.traffic import Columns, Floats, usd_per_mtok
from streams import sketch

PICO_PER_USD_PER_MTOK = 1_000_000
TOTALS = ("latency_ms", "ttft_ms", "input_tokens", "output_tokens", "quality", "error")
QUANTILES = (0.5, 0.95, 0.99)


@dataclass(slots=True)
class Truth:
    """Counts, totals and money of all events; `groups` are distinct dimension groups."""

    n: dict[str, int] = field(default_factory=dict)
    totals: dict[str, float] = field(default_factory=dict)
    cost_nanos: int = 0
    _groups: set[int] = field(default_factory=set)
    _latency: list[Floats] = field(default_factory=list)

    @property
    def events(self) -> int:
        return self.n.get("error", 0)

    @property
    def groups(self) -> int:
        return len(self._groups)

    def add(self, chunk: Columns) -> None:
        """Counts a chunk of events."""
        values = {
            "latency_ms": chunk.latency_ms,
            "ttft_ms": chunk.ttft_ms,
            "input_tokens": chunk.input_tokens,
            "output_tokens": chunk.output_tokens,
            "quality": chunk.quality[chunk.rated],
            "error": chunk.failed,
        }
        for metric, column in values.items():
            self.n[metric] = self.n.get(metric, 0) + len(column)
            self.totals[metric] = self.totals.get(metric, 0.0) + float(column.sum())
        self.n["cost_usd"] = self.n["error"]
        rates = np.array([usd_per_mtok(model) for model in range(int(chunk.model.max()) + 1)])
        rates = rates[chunk.model] * PICO_PER_USD_PER_MTOK
        pico = chunk.input_tokens * rates[:, 0] + chunk.output_tokens * rates[:, 1]
        self.cost_nanos += int(((pico + 500) // 1000).sum())
        cell = np.minimum(chunk.cell, 4)
        place = ((chunk.org * 1000 + chunk.model) * 10 + chunk.capability) * 10 + cell
        self._groups.update(np.unique(place).tolist())
        self._latency.append(chunk.latency_ms)

    def quantile(self, q: float) -> float:
        """The latency with 0-based rank floor(q * (n - 1))."""
        latency = np.concatenate(self._latency)
        rank = int(q * (len(latency) - 1))
        return float(np.partition(latency, rank)[rank])


def faults(truth: Truth, tidy: Sequence[pl.DataFrame]) -> list[str]:
    """How the partials differ from the truth; empty when they do not."""
    rows = pl.concat(tidy)
    sums = rows.group_by("metric").agg(pl.col("n", "total", "total_nanos").sum())
    found: Mapping[str, tuple[int, float, int]] = {m: (n, t, c) for m, n, t, c in sums.rows()}
    wrong = []
    for metric, n in truth.n.items():
        count, total, nanos = found.get(metric, (0, 0.0, 0))
        if count != n:
            wrong.append(f"n of {metric} is {count}, not {n}")
        elif metric in TOTALS and not np.isclose(total, truth.totals[metric], rtol=1e-9, atol=0):
            wrong.append(f"the total of {metric} is {total!r}, not {truth.totals[metric]!r}")
        elif metric == "cost_usd" and nanos != truth.cost_nanos:
            wrong.append(f"the cost is {nanos} nano-dollars, not {truth.cost_nanos}")
    return wrong + _quantile_faults(truth, rows)


def _quantile_faults(truth: Truth, rows: pl.DataFrame) -> list[str]:
    merged = (
        rows.filter(pl.col("metric") == "latency_ms")
        .select("bins", "counts")
        .explode("bins", "counts")
        .group_by("bins")
        .agg(pl.col("counts").sum())
        .sort("bins")
    )
    wrong = []
    for q in QUANTILES:
        exact = truth.quantile(q)
        found = sketch.quantile(merged["bins"].to_list(), merged["counts"].to_list(), q)
        if found is None or abs(found - exact) > exact * sketch.RELATIVE_ERROR * 1.000001:
            wrong.append(f"the latency quantile {q} is {found}, not {exact} within 1 %")
    return wrong
