"""Tables of A/B tests in a terminal of 80 columns: every number is whole."""

from dataclasses import replace
from typing import Any

from rich.console import Console

from agents.ab_plan import Plan
from agents.policy.case_pairs import PairedTests
from infra.ab import Known
from infra.ab_show import plan_table
from infra.ab_tables import paired_table
from schemas.entities import Spending
from schemas.records import RegistryFact
from tests.support.commands import NOW
from tests.support.trials import TEST

PAIRED = PairedTests(
    metric="quality",
    arm="treatment",
    baseline="control",
    cases=1234,
    left_out=0,
    difference=-0.0034567,
    t_p_value=1.2345e-10,
    t_lower=-0.0054321,
    t_upper=-0.0012345,
    anytime_p_value=2.3456e-10,
    anytime_lower=-0.0065432,
    anytime_upper=-0.0001234,
    signed_rank_p_value=3.4567e-10,
    mcnemar_p_value=4.5678e-10,
    only_arm=36,
    only_baseline=102,
    note=None,
)


def test_paired_tests_are_whole_in_80_columns() -> None:
    console = Console(record=True, width=80)
    console.print(paired_table([PAIRED]))
    text = console.export_text()
    for number in ("-0.003457", "[-0.005432,", "-0.001234]", "[-0.006543,", "-0.0001234]"):
        assert number in text
    for p_value in ("1.234e-10", "2.346e-10", "3.457e-10", "4.568e-10"):
        assert p_value in text
    assert "…" not in text


NOT_PLANNED: Any = {"needed_looks": None, "days_left_looks": None, "detectable_looks": None}


def test_a_plan_is_whole_in_80_columns() -> None:
    planned = Plan(
        arm="treatment",
        metric="quality",
        n=717_000,
        per_day=180_123.4,
        deviation=0.5,
        effect=0.0123,
        needed_always=17_196_000,
        needed_once=8_981_000,
        needed_looks=9_123_456,
        days_left_always=0.91512,
        days_left_once=0.45893,
        days_left_looks=0.46678,
        detectable_always=0.095771,
        detectable_once=0.069214,
        detectable_looks=0.070321,
        power=0.8,
        note=None,
    )
    for spending, looks in (
        (None, ()),
        (Spending("pocock", 4), ("9,123,456", "0.4668", "0.07032")),
    ):
        test = replace(TEST, spending=spending)
        console = Console(record=True, width=80)
        known = Known(RegistryFact(1, "me", NOW, "c", test), test, None)
        shown = planned if spending else replace(planned, **NOT_PLANNED)
        console.print(plan_table(known, [shown]))
        text = console.export_text()
        for number in (
            "717,000",
            "1.801e+05",
            "17,196,000",
            "0.9151",
            "0.09577",
            "0.06921",
            *looks,
        ):
            assert number in text
        assert ("planned" in text.replace("planned_n", "")) == (spending is not None)
        assert "…" not in text
