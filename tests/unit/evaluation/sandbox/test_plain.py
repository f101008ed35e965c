"""Plain data passes between processes as it is; nothing else does."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.evaluation.sandbox.plain import NotPlain, pack, unpack, update

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.complex_numbers(allow_nan=False)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.sets(SCALARS)
        | st.frozensets(SCALARS)
        | st.dictionaries(SCALARS, inner)
    ),
    max_leaves=20,
)


@given(VALUES)
def test_plain_data_comes_back_as_it_was(value: Any) -> None:
    back = unpack(json.loads(json.dumps(pack(value))))
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize("value", [object(), len, [lambda: 1], {"x": iter([])}, range(3)])
def test_what_is_no_data_is_refused(value: object) -> None:
    with pytest.raises(NotPlain):
        pack(value)


def test_deep_nesting_is_refused() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(NotPlain, match="deep"):
        pack(deep)


@pytest.mark.parametrize("packed", [["eval", "1"], ["int"], ["set", [["list", []]]], [1, 2, 3], {}])
def test_what_pack_did_not_make_is_refused(packed: object) -> None:
    if packed == {}:
        assert unpack(packed) == {}
        return
    with pytest.raises(NotPlain):
        unpack(packed)


def test_changes_in_place_are_taken_over() -> None:
    items, table, members = [3, 1], {"a": 1}, {1}
    update(items, [1, 3])
    update(table, {"b": 2})
    update(members, {2})
    assert (items, table, members) == ([1, 3], {"b": 2}, {2})
