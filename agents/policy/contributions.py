"""What one metric-partials message adds: tallies by capability, pane and model."""

from typing import Any, NamedTuple

import polars as pl

from agents.policy.sums import Sums, Tally, fixed

NANO_PER_USD = 1_000_000_000


class Place(NamedTuple):
    """An organisation's capability: what one selection is about."""

    org_id: str
    capability: str


class ModelKey(NamedTuple):
    """One version of a model, inside an organisation."""

    model_id: str
    model_version: str


Contributions = dict[Place, dict[int, dict[ModelKey, Tally]]]
"""By capability, then by the pane's start in ms, then by model."""

_COLUMNS = ("org_id", "capability", "model_id", "model_version")


def production(frame: pl.DataFrame) -> Contributions:
    """The production rows of a tidy frame; all arms and tests of a model together.

    Evaluations are another population, so their rows do not mix into these.
    """
    return _from(frame, "production")


def evaluations(frame: pl.DataFrame) -> Contributions:
    """The same of evaluations."""
    return _from(frame, "evaluation")


def _from(frame: pl.DataFrame, source: str) -> Contributions:
    rows = frame.lazy().filter(pl.col("source") == source)
    found: Contributions = {}
    _errors(rows, found)
    _latencies(rows, found)
    for metric in ("cost_usd", "quality"):
        _moments(rows, metric, found)
    return found


def _tally(found: Contributions, key: tuple[str, str, str, str], pane_ms: int) -> Tally:
    panes = found.setdefault(Place(key[0], key[1]), {})
    return panes.setdefault(pane_ms, {}).setdefault(ModelKey(key[2], key[3]), Tally())


def _grouped(rows: pl.LazyFrame, metric: str, *columns: str) -> list[tuple[Any, ...]]:
    return (
        rows.filter(pl.col("metric") == metric)
        .group_by(*_COLUMNS, pl.col("pane").dt.timestamp("ms"))
        .agg(pl.col(*columns).sum())
        .collect()
        .rows()
    )


def _errors(rows: pl.LazyFrame, found: Contributions) -> None:
    for org, capability, model, version, pane, n, total in _grouped(rows, "error", "n", "total"):
        tally = _tally(found, (org, capability, model, version), pane)
        tally.events += n
        tally.errors += round(total)


def _moments(rows: pl.LazyFrame, metric: str, found: Contributions) -> None:
    columns = ("n", "total", "total_sq", "total_nanos")
    for row in _grouped(rows, metric, *columns):
        org, capability, model, version, pane, n, total, total_sq, nanos = row
        tally = _tally(found, (org, capability, model, version), pane)
        if metric == "cost_usd":
            # Money is exact in nano-dollars; the floating total is not.
            cost = Sums(n, nanos * fixed(1.0) // NANO_PER_USD, fixed(total_sq))
            tally.cost_usd += cost
        else:
            tally.quality += Sums(n, fixed(total), fixed(total_sq))


def _latencies(rows: pl.LazyFrame, found: Contributions) -> None:
    wanted = (*_COLUMNS, pl.col("pane").dt.timestamp("ms"), "n", "total", "total_sq")
    latencies = rows.filter(pl.col("metric") == "latency_ms").select(*wanted, "bins", "counts")
    for row in latencies.collect().iter_rows():
        org, capability, model, version, pane, n, total, total_sq, bins, counts = row
        tally = _tally(found, (org, capability, model, version), pane)
        tally.latency_ms += Sums(n, fixed(total), fixed(total_sq))
        for key, count in zip(bins, counts, strict=True):
            tally.bins[key] = tally.bins.get(key, 0) + count
