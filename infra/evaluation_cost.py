"""Costs of runs on a terminal: what is not known is never shown as 0."""

from agents.evaluation.prices import known_usd
from schemas.evaluations import EvaluationRun, ModelProgress


def so_far(costing: EvaluationRun | ModelProgress) -> tuple[float | None, int]:
    """USD, and of how many results it is not known."""
    return known_usd(costing.cost_nanos, costing.unpriced), costing.unpriced


def cost(usd: float | None, unpriced: int) -> str:
    """For a cell of a table."""
    if usd is None:
        return "unknown"
    return f"{'at least ' if unpriced else ''}${usd:.4f}"


def cost_of(usd: float | None, unpriced: int) -> str:
    """The same with how many results it says nothing of."""
    if not unpriced:
        return cost(usd, unpriced)
    results = "result" if unpriced == 1 else "results"
    return f"{cost(usd, unpriced)} ({unpriced:,} {results} without a price)"
