"""How `rheostat ab methods` shows the planned looks of a test."""

from collections.abc import Iterator, Mapping, Sequence

from rich.console import RenderableType
from rich.text import Text

from agents.policy.planned_looks import LookRow
from infra.ab_health_show import printable
from infra.ab_tables import count, interval, number
from infra.tables import narrow
from schemas.entities import SpendingFamily

FAMILIES: Mapping[SpendingFamily, str] = {
    "obrien_fleming": "O'Brien-Fleming",
    "pocock": "Pocock",
}


def looks_lines(rows: Sequence[LookRow]) -> Iterator[RenderableType]:
    """A table a comparison, and at which look its bound was crossed; nothing without rows."""
    groups: dict[tuple[str, str], list[LookRow]] = {}
    for row in rows:
        groups.setdefault((row.metric, row.arm), []).append(row)
    for (metric, arm), found in groups.items():
        first = found[0]
        name = f"{metric}, {arm} against {first.baseline}: {first.looks} planned looks"
        yield Text("")
        yield Text(printable(name), "bold")
        shared = f" for {first.corrected_for} comparisons" if first.corrected_for > 1 else ""
        yield Text(f"{FAMILIES[first.family]}, {100 * first.level:.4g}%{shared}", "dim")
        yield from _looks(found)
    if groups:
        yield Text("")
        yield Text("Planned looks hold together, and hold for nothing seen between them.", "dim")


def _looks(rows: Sequence[LookRow]) -> Iterator[RenderableType]:
    table = narrow("look", "due at\nsmaller arm", "z\nbound", "p\nneeded", "difference", wraps=0)
    table.add_column("interval", no_wrap=True)
    table.add_column("crossed", no_wrap=True)
    for row in rows:
        seen = None if row.n_arm is None or row.n_baseline is None else (row.n_arm, row.n_baseline)
        table.add_row(
            f"{row.look}",
            f"{count(row.needed)}\n{count(None if seen is None else min(seen))}",
            f"{number(row.z)}\n{number(row.bound)}",
            f"{number(row.p_value)}\n{number(row.p_needed)}",
            number(row.value),
            interval(row.lower, row.upper, "\n"),
            "" if row.crossed is None else "yes" if row.crossed else "no",
        )
    yield table
    for row in rows:
        if row.note is not None:
            yield Text(f"  look {row.look}: {printable(row.note)}", "dim")
    crossed = next((row for row in rows if row.crossed), None)
    if crossed is not None and crossed.as_of is not None:
        when = f"{crossed.as_of:%Y-%m-%d %H:%M:%S} UTC"
        yield Text(f"  crossed first at look {crossed.look}, {when}", "bold")
    else:
        made = sum(row.crossed is not None for row in rows)
        yield Text(f"  not crossed at any of the {made} looks so far", "dim")
