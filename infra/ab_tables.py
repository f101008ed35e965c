"""Tables of what belongs beside a verdict: paired tests, differences by periods."""

from collections.abc import Sequence

from rich.table import Table

from agents.policy.case_pairs import PairedTests
from agents.policy.periods import Periods
from infra.tables import narrow


def paired_table(tests: Sequence[PairedTests]) -> Table:
    """Every test of the same cases."""
    intervals = ("paired t\ninterval", "anytime\ninterval")
    others = ("t p\nanytime p", "Wilcoxon p\nMcNemar p", "only arm\nbaseline")
    table = narrow("metric\narm", "cases\ndifference", *intervals, *others)
    for each in tests:
        alone = "" if each.only_arm is None else f"{each.only_arm}\n{each.only_baseline}"
        table.add_row(
            f"{each.metric}\n{each.arm}",
            f"{count(each.cases)}\n{number(each.difference)}",
            interval(each.t_lower, each.t_upper, "\n"),
            interval(each.anytime_lower, each.anytime_upper, "\n"),
            f"{number(each.t_p_value)}\n{number(each.anytime_p_value)}",
            f"{number(each.signed_rank_p_value)}\n{number(each.mcnemar_p_value)}",
            alone,
        )
    table.caption = (
        "case by case; t, Wilcoxon and McNemar hold at one look at a fixed number of cases, each "
        "for one comparison alone; the anytime interval while cases still come"
    )
    return table


def periods_table(periods: Periods) -> Table:
    """Beside the plain differences, which mix times with other weights."""
    table = Table("metric", "arm", "plain", "by periods", "anytime interval", "verdict", "strata")
    table.add_column("note")
    for each in periods.estimates:
        left = "" if not each.left_out else f"{each.left_out:.1%} of the calls are left out"
        table.add_row(
            each.metric,
            each.arm,
            number(each.plain),
            number(each.difference),
            interval(each.anytime_lower, each.anytime_upper),
            each.verdict.replace("_", " "),
            count(each.strata),
            "; ".join(filter(None, (each.note, left))),
        )
    table.caption = periods.advice
    return table


def number(value: float | None) -> str:
    """Four digits; nothing without an estimate."""
    return "" if value is None else f"{value:.4g}"


def count(value: int | None) -> str:
    """With thousands apart; nothing where it was not counted."""
    return "" if value is None else f"{value:,}"


def interval(lower: float | None, upper: float | None, between: str = " ") -> str:
    """Nothing without an estimate."""
    return "" if lower is None or upper is None else f"[{lower:.4g},{between}{upper:.4g}]"
