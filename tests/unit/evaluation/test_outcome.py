"""What scores come to: weights, thresholds, and what is missing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.evaluation.outcome import Outcome, outcome
from schemas.evaluations import Score
from schemas.suites import ScorerUse


def scores(*values: float | None) -> list[Score]:
    return [Score("m", "s", "1", value) for value in values]


def uses(*pairs: tuple[float, float | None]) -> list[ScorerUse]:
    return [ScorerUse("s", weight, threshold) for weight, threshold in pairs]


@pytest.mark.parametrize(
    ("values", "pairs", "pass_threshold", "expected"),
    [
        ((1.0, 0.0), ((3.0, None), (1.0, None)), None, Outcome(0.75, None)),
        ((1.0, 0.0), ((3.0, None), (1.0, None)), 0.75, Outcome(0.75, True)),
        ((1.0, 0.0), ((3.0, None), (1.0, None)), 0.76, Outcome(0.75, False)),
        ((0.8, 0.9), ((1.0, 0.8), (1.0, 0.8)), None, Outcome(0.85, True)),
        ((0.7, 0.9), ((1.0, 0.8), (1.0, 0.8)), None, Outcome(0.8, False)),
        # A missing score makes the mean unknown, not smaller; one that fails still decides.
        ((None, 0.9), ((1.0, 0.8), (1.0, 0.8)), None, Outcome(None, None)),
        ((None, 0.7), ((1.0, 0.8), (1.0, 0.8)), None, Outcome(None, False)),
        ((None, 0.9), ((1.0, None), (1.0, None)), 0.5, Outcome(None, None)),
        # Without weight it does not count.
        ((None, 0.9), ((0.0, None), (1.0, None)), 0.5, Outcome(0.9, True)),
        ((12.0, 0.9), ((0.0, 10.0), (1.0, None)), None, Outcome(0.9, True)),
        ((0.5,), ((0.0, None),), None, Outcome(None, None)),
        ((0.0,), ((1.0, 0.0),), None, Outcome(0.0, True)),
    ],
)
def test_outcomes(
    values: tuple[float | None, ...],
    pairs: tuple[tuple[float, float | None], ...],
    pass_threshold: float | None,
    expected: Outcome,
) -> None:
    found = outcome(scores(*values), uses(*pairs), pass_threshold)
    assert found.passed is expected.passed
    if expected.score is None:
        assert found.score is None
    else:
        assert found.score == pytest.approx(expected.score)


def test_scores_without_their_uses_are_a_bug() -> None:
    with pytest.raises(ValueError, match="longer"):
        outcome(scores(1.0), uses((1.0, None), (1.0, None)), None)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.01, 1e6)), min_size=1, max_size=8))
def test_the_score_lies_between_the_scores(pairs: list[tuple[float, float]]) -> None:
    found = outcome(scores(*(v for v, _ in pairs)), uses(*((w, None) for _, w in pairs)), None)
    assert found.score is not None
    values = [v for v, _ in pairs]
    assert min(values) - 1e-12 <= found.score <= max(values) + 1e-12
