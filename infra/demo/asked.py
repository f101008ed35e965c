"""What else the demo's A/B test can be asked: an answer each, and the command that tells the rest.

The answers are those of the commands, from the same functions.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from agents.ab_health import Health
from agents.ab_plan import Plan
from agents.policy.method_rows import MethodRow
from agents.reproduce import Reproduction
from api.ab_evidence import DiscoveriesBody, discoveries_body
from api.ab_methods import MethodsBody
from infra.ab import health, known, methods_of, planned, reproduced
from infra.ab_health_show import HEADLINES
from infra.ab_many import everything
from infra.ab_methods_show import name
from infra.ab_tables import count, interval, number
from infra.errors import OperatorError
from infra.settings import Settings
from schemas.entities import AbTest
from sinks.errors import SinkError
from streams.statistics.estimates import NoEstimate

FALSE_DISCOVERIES = 0.05
SHOWN = ("relative", "quantile", "superiority", "beta_binomial", "fisher_exact")
"""Methods that say another thing than the verdict does, or say it without approximation."""


@dataclass(frozen=True, slots=True)
class Asked:
    """`command`: without `rheostat ab`."""

    question: str
    answers: tuple[str, ...]
    command: str


def asked(settings: Settings, ab_test_id: str, org_id: str) -> Iterator[Asked]:
    """One by one, since each takes a moment. What cannot be answered says why.

    Raises OperatorError, StreamError.
    """
    found = known(settings, ab_test_id, org_id)
    yield Asked("Is the test sound?", sound(health(settings, found)), f"results {ab_test_id}")
    try:
        said = methods_of(settings, found, None)
        yield Asked("Other methods", by_methods(found.test, said), f"methods {ab_test_id}")
        plans = planned(settings, found, 0.8)
        yield Asked("How long?", tuple(map(to_find, plans)), f"plan {ab_test_id}")
        _, tests = everything(settings, org_id)
        body = discoveries_body(org_id, FALSE_DISCOVERIES, "e-lond", tests)
        yield Asked("Of all tests", discovered(body), f"discoveries --org {org_id}")
        again = again_the_same(reproduced(settings, found))
        yield Asked("Again the same?", (again,), f"reproduce {ab_test_id}")
    except (OperatorError, SinkError) as error:
        yield Asked("Not known", (str(error),), f"results {ab_test_id}")


def shown(answers: Sequence[Asked]) -> RenderableType:
    """Two columns: what was asked, and below each answer where it is from."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for each in answers:
        lines = [Text(answer) for answer in each.answers]
        command = Text(f"rheostat ab {each.command}", "cyan")
        grid.add_row(Text(each.question, "bold"), Text("\n").join([*lines, command]))
    return grid


def sound(found: Health | NoEstimate) -> tuple[str, ...]:
    """In a word, then units, and the effect over time where enough is known of it."""
    if isinstance(found, NoEstimate):
        return (f"not known: {found.reason}",)
    lasting = [
        f"{each.metric}, {each.arm}: {each.text}"
        for each in found.over_time
        if each.sign != "not_enough_data"
    ]
    traffic = f"traffic: {found.split.text}"
    return (HEADLINES[found.sign], found.units_in_several_arms.text, traffic, *lasting)


def by_methods(test: AbTest, found: MethodsBody) -> tuple[str, ...]:
    """Of the arms against the baseline on what the test is about: primary metrics and latencies.

    What holds at every look stands for the same at one look.
    """
    if found.why_none is not None:
        return (f"none: {found.why_none}",)
    wanted = {goal.metric for goal in test.metrics if goal.role == "primary"} | {"latency_ms"}
    rows = [
        row
        for row in found.rows
        if row.metric in wanted
        and row.baseline is not None
        and row.method in SHOWN
        and row.value is not None
    ]
    always = {_place(row) for row in rows if row.when == "at every look"}
    lines = []
    for row in rows:
        if row.when == "once" and _place(row) in always:
            continue
        numbers = [number(row.value)]
        if row.lower is not None or row.upper is not None:
            numbers.append(interval(row.lower, row.upper))
        if row.p_value is not None:
            numbers.append(f"p {number(row.p_value)}")
        lines.append(f"{row.metric}, {name(row)}: {' '.join(numbers)} ({row.when})")
    return (*found.warnings, *(lines or ["too few values for any of them"]))


def _place(row: MethodRow) -> tuple[str, ...]:
    return (row.metric, str(row.arm), row.method, row.quantity)


def to_find(each: Plan) -> str:
    """What the smallest difference that matters takes, for who looks always and who looks once."""
    about = f"{each.metric}, {each.arm}"
    if each.effect is None or each.needed_always is None:
        return f"{about}: {each.note or 'no difference to plan for'}"
    return (
        f"{about}: to find {number(each.effect)} takes {count(each.needed_always)} values an arm "
        f"when looking always, {count(each.needed_once)} when looking once; "
        f"there are {count(each.n)}"
    )


def discovered(found: DiscoveriesBody) -> tuple[str, ...]:
    """How many, and each with its evidence."""
    of_all = f"{found.discoveries} of {len(found.tests)} found a difference"
    return (
        f"{of_all}, at a false discovery rate of {found.q:g}",
        *(f"{row.ab_test_id}: p {number(row.p_value)}" for row in found.tests if row.discovery),
    )


def again_the_same(found: Reproduction) -> str:
    """What came out when the verdict was computed again."""
    if found.again is None:
        return f"not computed again: {'; '.join(found.notes)}"
    if found.same:
        return f"yes: the same verdict comes out of {found.read}"
    return f"no: {len(found.differences)} fields differ, from {found.read}"
