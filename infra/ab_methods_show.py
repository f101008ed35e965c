"""How `rheostat ab methods` shows what other methods say of a test."""

from collections.abc import Iterator, Mapping, Sequence

from rich.console import RenderableType
from rich.text import Text

from agents.policy.method_rows import Method, MethodRow
from api.ab_methods import MethodsBody
from infra.ab_health_show import printable
from infra.ab_looks_show import looks_lines
from infra.ab_tables import count, interval, number
from infra.tables import narrow
from schemas.entities import AbTest

NAMES: Mapping[Method, str] = {
    "relative": "difference",
    "student": "Student's t",
    "chi_square": "chi-square",
    "fisher_exact": "Fisher exact",
    "beta_binomial": "beta-binomial",
    "empirical_bernstein": "empirical Bernstein",
    "quantile": "quantile",
    "superiority": "larger value",
    "brunner_munzel": "Brunner-Munzel",
    "mann_whitney": "Mann-Whitney",
    "equivalence": "equivalence",
    "non_inferiority": "non-inferiority",
}


def methods_lines(test: AbTest, found: MethodsBody) -> Iterator[RenderableType]:
    """A table a metric and arm, what there is no estimate for, and how to use it."""
    yield Text.assemble("A/B test ", (printable(test.ab_test_id), "bold"), f" of {test.org_id}")
    if found.why_none is not None:
        yield Text(f"No rows: {printable(found.why_none)}.", "yellow")
        return
    yield Text(f"as of {found.as_of:%Y-%m-%d %H:%M:%S} UTC, alpha {test.alpha:g}", "dim")
    for warning in found.warnings:
        yield Text(f"warning: {printable(warning)}", "yellow")
    groups: dict[tuple[str, str | None, str | None], list[MethodRow]] = {}
    for row in found.rows:
        groups.setdefault((row.metric, row.arm, row.baseline), []).append(row)
    for (metric, arm, baseline), rows in groups.items():
        about = f"{arm} alone" if baseline is None else f"{arm} against {baseline}"
        yield Text("")
        yield Text(printable(f"{metric}, {about if arm else 'all arms together'}"), "bold")
        yield Text(f"{_values(rows)}; {_levels(rows)}", "dim")
        yield from _group(rows)
    yield from looks_lines(found.group_sequential)
    yield Text("")
    for caution in found.cautions:
        yield Text(caution, "dim")


def _group(rows: Sequence[MethodRow]) -> Iterator[RenderableType]:
    known = [row for row in rows if row.value is not None or row.p_value is not None]
    if known:
        table = narrow("method", "value", "interval", "p", "holds")
        for row in known:
            ends = interval(row.lower, row.upper)
            table.add_row(name(row), number(row.value), ends, number(row.p_value), _holds(row))
        yield table
    notes: dict[str, list[str]] = {}
    for row in rows:
        if row.note is not None:
            notes.setdefault(row.note, []).append(f"{name(row)} {_holds(row)}")
    for note, names in notes.items():
        yield Text(f"  {', '.join(names)}: {printable(note)}", "dim")


def name(row: MethodRow) -> str:
    """The method, and what its numbers are of."""
    if row.margin is not None:
        sign = "±" if row.method == "equivalence" else ""
        return f"{NAMES[row.method]} {sign}{row.margin:g}"
    return f"{NAMES[row.method]}, {row.quantity}"


def _holds(row: MethodRow) -> str:
    return "always" if row.when == "at every look" else "once"


def _values(rows: Sequence[MethodRow]) -> str:
    said = {row.by: (row.n_arm, row.n_baseline) for row in rows}
    return ", ".join(
        f"{count(arm)} {'values' if by == 'calls' else 'units'}"
        + ("" if baseline is None else f" against {count(baseline)}")
        for by, (arm, baseline) in said.items()
    )


def _levels(rows: Sequence[MethodRow]) -> str:
    """The level of the intervals, and for how many comparisons it was raised."""
    said = {
        _holds(row): f"{_holds(row)}: {100 * row.level:.4g}%"
        + (f" for {row.corrected_for} comparisons" if row.corrected_for > 1 else "")
        for row in rows
    }
    return ", ".join(said.values())
