"""What every model of an evaluation must reach, told before anything is paid for."""

import difflib
import math
from dataclasses import dataclass

from agents.evaluation.outcome import SCORE, measured_by
from agents.evaluation.scorers.check import shares
from infra.errors import OperatorError
from schemas.suites import Suite


@dataclass(frozen=True, slots=True)
class Gate:
    """A metric, and the least value that passes."""

    metric: str
    threshold: float


def gate(threshold: float | None, metric: str | None, detach: bool) -> Gate | None:
    """None: nothing was asked for. Raises OperatorError for what no run could be held against."""
    if threshold is None:
        if metric is not None:
            raise OperatorError(f"--metric {metric} says what --threshold is of: give both.")
        return None
    if not math.isfinite(threshold):
        raise OperatorError(f"--threshold {threshold:g} is no value that a model can reach.")
    if detach:
        raise OperatorError("--detach leaves before any model can reach --threshold: give one.")
    return Gate(metric or SCORE, threshold)


def require(suite: Suite, gate: Gate) -> None:
    """Raises OperatorError when no answer to the suite can have such a value."""
    known, metric = measured_by(suite), gate.metric
    if metric not in known:
        close = difflib.get_close_matches(metric, known, n=1, cutoff=0.6)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise OperatorError(
            f"{suite.suite_id} {suite.suite_version} does not measure {metric}; it measures "
            f"{', '.join(known)}. Nothing was started: set --metric.{hint}"
        )
    if gate.threshold > 1 and metric in shares(suite):
        raise OperatorError(
            f"{metric} of {suite.suite_id} {suite.suite_version} lies between 0 and 1, so no "
            f"model can reach {gate.threshold:g}. Nothing was started: set --threshold."
        )
