"""How `rheostat ab discoveries` and `evidence` show several tests in the terminal."""

import math
from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from agents.policy.discoveries import Placed
from agents.policy.joint_evidence import Joint, JointEvidence
from api.ab_evidence import DiscoveriesBody
from infra.ab_health_show import printable
from infra.ab_tables import number
from infra.tables import narrow

ABOVE_LOG_E = 600.0
"""Beyond this, an e-value is shown as a power of ten."""


def discoveries_lines(found: DiscoveriesBody) -> Iterator[RenderableType]:
    """A line what was found, two a test, and what all of it rests on."""
    rows = found.tests
    yield Text(
        f"{printable(found.org_id)}: {found.discoveries} of {len(rows)} A/B tests found a "
        f"difference, at a false discovery rate of {found.q:g}",
        "bold",
    )
    if rows:
        yield _table(rows)
    for row in rows:
        if row.note:
            yield Text(f"  {printable(row.ab_test_id)}: {row.note}", "dim")
    if found.without_verdict:
        names = printable(", ".join(found.without_verdict))
        yield Text(f"Without a verdict yet, and so without a place: {names}", "dim")
    yield Text(
        f"By {found.procedure}, which assumes {found.assumes}. A test is a discovery when its p "
        "(1 / e) is at or below the level of its place: some arm differs from the baseline on a "
        "primary metric, for better or worse. As of now: evidence may change while tests run.",
        "dim",
    )


def _table(rows: Sequence[Placed]) -> RenderableType:
    table = narrow("test\nmost evidence", "began", "e\np", "level\nleast q", "discovery")
    for row in rows:
        about = "nothing measured yet"
        if row.found is not None:
            about = f"{row.metric}, {row.arm}: {row.found.replace('_', ' ')}"
        name = f"{row.place}. {printable(row.ab_test_id)}\n   {printable(about)}"
        began = "?" if row.began_at is None else f"{row.began_at:%Y-%m-%d}\n{row.began_at:%H:%M}"
        table.add_row(
            Text(name),
            began,
            f"{e_value(row.log_e_value)}\n{number(row.p_value)}",
            f"{number(row.level)}\n{number(row.least_q)}",
            Text("yes", "bold green") if row.discovery else Text("no", "dim"),
        )
    return table


def e_value(log_e: float | None) -> str:
    """Four digits; a power of ten where a double would not hold it; nothing without one."""
    if log_e is None:
        return ""
    if abs(log_e) > ABOVE_LOG_E:
        return f"10^{log_e / math.log(10):.0f}"
    return number(math.exp(log_e))


def evidence_lines(one: str, other: str, found: Joint) -> Iterator[RenderableType]:
    """How the tests were combined and why, then a table a comparison."""
    yield Text(f"{printable(one)} and {printable(other)}: {found.how} of their e-values", "bold")
    yield Text(f"since {found.why}", "dim")
    for each in found.comparisons:
        yield _joint(each)
        if each.note:
            yield Text(f"  {each.note}", "yellow")
    yield Text(
        "e is evidence against 'no difference', p is 1 / e: both hold at every look, each for its "
        "comparison alone.",
        "dim",
    )


def _joint(each: JointEvidence) -> RenderableType:
    table = narrow("test", "values", "difference", "e", "p")
    about = f"{each.metric}: {each.model_id} against {each.baseline_model_id}"
    table.title, table.title_justify = Text(printable(about)), "left"
    for side in each.tests:
        name = f"{printable(side.ab_test_id)} ({side.mode})\n  {side.found.replace('_', ' ')}"
        table.add_row(
            Text(name),
            f"{side.n_arm:,}\n{side.n_baseline:,}",
            number(side.difference),
            e_value(side.log_e_value),
            number(side.p_value),
        )
    together = (e_value(each.log_e_value), number(each.p_value))
    table.add_row(Text("together", "bold"), "", "", *together)
    return table
