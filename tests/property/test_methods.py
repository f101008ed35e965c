"""Rows of other methods: whatever the values, no NaN leaves, and what is missing has a reason."""

import math
from dataclasses import asdict

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agents.policy.methods import method_rows
from schemas.entities import MetricGoal
from tests.unit.policy.test_methods import ERROR, LATENCY, QUALITY, of, readings

NUMBERS = st.one_of(
    st.sampled_from([0.0, 1.0, 0.5, 1e150, -1e150, 1e-300, 1e12]),
    st.floats(-1e150, 1e150),
)


@given(
    st.lists(NUMBERS, max_size=12),
    st.lists(NUMBERS, max_size=12),
    st.sampled_from([LATENCY, ERROR, QUALITY]),
    st.sampled_from([1, 20, 60]),
)
def test_no_nan_leaves_and_what_is_missing_has_a_reason(
    arm: list[float], baseline: list[float], goal: MetricGoal, times: int
) -> None:
    values = {"a": np.array(baseline * times), "b": np.array(arm * times)}
    for row in method_rows(of(goal), readings(goal.metric, values)):
        numbers = [each for each in asdict(row).values() if isinstance(each, float)]
        assert all(map(math.isfinite, numbers)), row
        if row.value is None and row.p_value is None:
            assert row.note
        if row.lower is not None:
            assert row.value is not None
            assert row.upper is not None
            assert row.lower <= row.value <= row.upper
        assert row.p_value is None or 0 < row.p_value <= 1
