"""The comparison finds every kind of difference, and only differences."""

from dataclasses import replace

import pytest

from infra.demo.malformed import Malformation
from infra.demo.reconcile import Found, reconcile
from tests.support.demo import sent

SENT = sent({"": 10, "t": 5}, {Malformation.EMPTY: 2, Malformation.NAN: 1})
EQUAL = Found(
    counted={"": 110, "t": 5},
    stored={"": 10, "t": 5},
    stored_twice=0,
    dead_letters={"empty_value": 2, "not_finite": 1},
)
BEFORE = {"": 100}


def test_equal_is_exact() -> None:
    result = reconcile(SENT, EQUAL, BEFORE)
    assert result.exact
    assert {row.kind: row.produced for row in result.rows} == {
        "A/B test t": 5,
        "selection traffic": 10,
        "malformed: empty_value": 2,
        "malformed: not_finite": 1,
    }


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (replace(EQUAL, counted={"": 109, "t": 5}), "selection traffic"),
        (replace(EQUAL, counted={"": 111, "t": 5}), "selection traffic"),
        (replace(EQUAL, counted={"": 110}), "A/B test t"),
        (replace(EQUAL, counted={"": 110, "t": 5, "u": 1}), "A/B test u"),
        (replace(EQUAL, stored={"": 10, "t": 6}), "A/B test t"),
        (replace(EQUAL, dead_letters={"empty_value": 2}), "malformed: not_finite"),
        (
            replace(EQUAL, dead_letters={**EQUAL.dead_letters, "too_old": 1}),
            "malformed: too_old",
        ),
    ],
)
def test_one_too_few_or_too_many_is_a_difference_of_its_kind(found: Found, kind: str) -> None:
    result = reconcile(SENT, found, BEFORE)
    assert not result.exact
    assert [row.kind for row in result.rows if not row.equal] == [kind]


def test_a_row_stored_twice_or_a_failed_delivery_is_a_fault() -> None:
    assert not reconcile(SENT, replace(EQUAL, stored_twice=1), BEFORE).exact
    failed = sent(SENT.by_test, {Malformation.EMPTY: 2, Malformation.NAN: 1}, ("broken",))
    assert reconcile(failed, EQUAL, BEFORE).faults == ("broken",)
