"""How `rheostat ab results` shows whether a test is sound."""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from agents.ab_health import Health, UnitsInSeveralArms
from agents.ab_lasting import CarriedOver, EffectOverTime, Sign
from agents.ab_winsorised import DifferenceByUnits, WinsorisedDifference
from infra.ab_tables import interval, number
from infra.tables import narrow
from streams.statistics.estimates import NoEstimate

STYLES: dict[Sign, str] = {"sign": "bold red", "no_sign": "green", "not_enough_data": "dim"}
HEADLINES: dict[Sign, str] = {
    "sign": "look at the signs below before believing the results",
    "no_sign": "no sign that the test is unsound",
    "not_enough_data": "not enough data",
}


def health_lines(found: Health | NoEstimate) -> Iterator[RenderableType]:
    """Units and traffic, then what changes or was carried over, then winsorised differences."""
    if isinstance(found, NoEstimate):
        yield Text(f"Health: not known: {printable(found.reason)}", "dim")
        return
    yield Text.assemble("Health: ", (HEADLINES[found.sign], STYLES[found.sign]))
    yield from _units(found.units_in_several_arms)
    yield _line("traffic", found.split.sign, found.split.text)
    if found.one_in > 1:
        yield Text(f"  over time and carry-over: of one in {found.one_in} units", "dim")
    for change in found.over_time:
        yield _line(f"{change.metric}, {change.arm}", change.sign, _over_time(change))
    for carried in found.carried_over:
        yield _line(_about(carried), carried.sign, carried.text)
    if found.winsorised:
        yield from _winsorised(found.winsorised)


def printable(text: str) -> str:
    """Ids are what producers sent: nothing in them may steer the terminal."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def _line(about: str, sign: Sign, text: str) -> Text:
    return Text.assemble("  ", printable(about), ": ", (printable(text), STYLES[sign]))


def _units(found: UnitsInSeveralArms) -> Iterator[Text]:
    text = found.text
    if found.dilution is not None and found.crossed:
        text += f"; at least {found.dilution:.1%} of a true effect is left"
    yield _line("units", found.sign, text)
    for each in found.examples:
        yield Text(f"    {printable(each.unit_id)}: {printable(', '.join(each.arms))}", "dim")


def _over_time(found: EffectOverTime) -> str:
    if found.trend is None:
        return found.text
    ends = interval(found.trend_lower, found.trend_upper)
    return f"{found.text}; {number(found.trend)} a period, {ends}"


def _about(found: CarriedOver) -> str:
    return found.metric if found.earlier_test is not None else f"{found.metric}, {found.arm}"


def _winsorised(found: Sequence[WinsorisedDifference]) -> Iterator[RenderableType]:
    """Two lines an arm, plain and winsorised; what they say stands below."""
    table = narrow("metric\narm", "limit", "values", "difference", "anytime interval")
    table.title, table.title_justify = "by units, with and without the largest values", "left"
    for each in found:
        limit = "" if each.limit is None else f"{each.limit:.4g} (p{100 * (1 - each.share):g})"
        (plain, all_of_it), (kept, inside) = map(_difference, (each.plain, each.winsorised))
        name, differences = f"{printable(each.metric)}\n{printable(each.arm)}", f"{plain}\n{kept}"
        table.add_row(Text(name), limit, "all\ncapped", differences, f"{all_of_it}\n{inside}")
    yield table
    for each in found:
        notes = [side.note for side in (each.plain, each.winsorised) if side and side.note]
        says = "; ".join([each.text, *dict.fromkeys(notes)])
        yield Text(f"  {printable(each.metric)}, {printable(each.arm)}: {printable(says)}", "dim")


def _difference(found: DifferenceByUnits | None) -> tuple[str, str]:
    if found is None:
        return "", ""
    return number(found.difference), interval(found.lower, found.upper)
