"""How `rheostat ab ...` shows a test in the terminal."""

from collections.abc import Iterable, Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from agents.ab_plan import Plan
from agents.reproduce import Reproduction
from infra.ab import Known, Shown
from infra.ab_tables import count, interval, number, paired_table, periods_table
from infra.tables import narrow
from schemas.records import AbVerdict, Comparison

STYLES = {
    "ship": "bold green",
    "roll_back": "bold red",
    "no_difference": "bold cyan",
    "keep_going": "bold yellow",
    "invalid": "bold red",
}
DIFFERENCES_MAX = 40


def results_lines(shown: Shown) -> Iterator[RenderableType]:
    """The recommendation and its reason, the arms, the comparisons, the beliefs; the paired tests
    of an offline test, the differences by periods of one whose weights changed."""
    test, verdict = shown.found.test, shown.results.verdict
    yield Text.assemble(
        ("A/B test ", ""),
        (test.ab_test_id, "bold"),
        f" of {test.org_id}: ",
        (f"{test.status}, {test.mode}"),
    )
    if test.hypothesis:
        yield Text(test.hypothesis, "italic")
    if shown.unknown is not None:
        yield Text(shown.unknown, "yellow")
    if verdict is None:
        what = "No case is finished" if test.mode == "offline" else "No call was judged"
        yield Text(f"No verdict yet: {what}.", "dim")
        return
    said = verdict.recommendation.replace("_", " ")
    yield Text.assemble((said, STYLES[verdict.recommendation]), f"  {verdict.reason}")
    if verdict.warning is not None:
        yield Text(f"warning: {verdict.warning}", "yellow")
    how = f"by {verdict.analysis}, sample-ratio p {number(verdict.srm_p_value)}"
    if test.mode == "offline":
        how = "by cases that both arms answered"
    yield Text(
        f"as of {verdict.as_of:%Y-%m-%d %H:%M:%S} UTC, {how}, alpha {verdict.alpha:g}", "dim"
    )
    yield _arms(verdict, "cases" if test.mode == "offline" else "calls")
    yield from _comparisons(verdict.comparisons)
    if shown.results.paired:
        yield paired_table(shown.results.paired)
    if shown.results.periods is not None:
        yield periods_table(shown.results.periods)
    if (why := shown.results.why_no_periods) is not None:
        yield Text(f"The differences by periods are not known: {why}.", "yellow")
    if verdict.pairs:
        yield _pairs(verdict)
    if verdict.beliefs:
        yield _beliefs(verdict)
    if verdict.multiplicity:
        yield Text(verdict.multiplicity, "dim")


def timeline_table(
    found: Known, verdicts: Sequence[AbVerdict], metric: str | None
) -> RenderableType:
    """One line a verdict and arm."""
    if not verdicts:
        return Text("ClickHouse holds no verdict of this test.", "dim")
    named = metric or next(
        (goal.metric for goal in found.test.metrics if goal.role == "primary"),
        found.test.metrics[0].metric,
    )
    table = Table("as of", "arm", "n", f"{named}: difference", "anytime interval", "verdict", "do")
    for verdict in verdicts:
        for each in verdict.comparisons:
            if each.metric == named:
                table.add_row(
                    f"{verdict.as_of:%m-%d %H:%M:%S}",
                    each.arm,
                    f"{each.n_arm:,}",
                    number(each.difference),
                    interval(each.anytime_lower, each.anytime_upper),
                    each.verdict.replace("_", " "),
                    Text(verdict.recommendation.replace("_", " "), STYLES[verdict.recommendation]),
                )
    return table


def plan_table(found: Known, plans: Sequence[Plan]) -> RenderableType:
    """What looking always takes, beside looking once, and at the looks that were planned."""
    planned = found.test.spending is not None
    title = f"{found.test.ab_test_id}: power {plans[0].power:g}" if plans else None
    names = ("to find", "look", "needs", "days left", "finds at\nplanned_n")
    table = narrow("metric", "arm", "values an arm\na day", *names, wraps=2)
    table.title = title
    for column in table.columns[3:]:
        column.justify = "left" if column.header == "look" else "right"
    for each in plans:
        finds = each.detectable_always, each.detectable_once, each.detectable_looks
        table.add_row(
            each.metric,
            each.arm,
            f"{each.n:,}\n{number(each.per_day)}",
            number(each.effect),
            "always\nonce" + ("\nplanned" if planned else ""),
            _below(map(count, (each.needed_always, each.needed_once, each.needed_looks))),
            _below(map(number, (each.days_left_always, each.days_left_once, each.days_left_looks))),
            _below(map(number, finds)),
        )
    notes = sorted({f"{each.metric}: {each.note}" for each in plans if each.note})
    if notes:
        table.caption = "; ".join(notes)
    return table


def _below(texts: Iterable[str]) -> str:
    return "\n".join(texts).rstrip("\n")


def reproduction_lines(found: Known, result: Reproduction) -> Iterator[RenderableType]:
    """What was read, what differs, and what could not be compared."""
    name = found.test.ab_test_id
    for note in result.notes:
        yield Text(f"note: {note}", "yellow")
    if result.again is None:
        yield Text(f"{name}: the verdict could not be computed again.", "bold red")
        return
    if result.same:
        yield Text(f"{name}: the same verdict comes out of {result.read}.", "bold green")
        yield Text(f"{result.again.recommendation}: {result.again.reason}")
        return
    yield Text(f"{name}: {len(result.differences)} fields differ, from {result.read}:", "bold red")
    for each in result.differences[:DIFFERENCES_MAX]:
        yield Text(f"  {each.field}: stored {each.stored!r}, again {each.again!r}")


def _arms(verdict: AbVerdict, counted: str) -> Table:
    table = Table("arm", "model", counted, "units", "share")
    for arm in verdict.arms:
        share = "" if arm.weight is None else f"{arm.weight:.1%}"
        table.add_row(arm.arm, arm.model_id, f"{arm.events:,}", count(arm.units), share)
    return table


def _comparisons(comparisons: Sequence[Comparison]) -> Iterator[RenderableType]:
    """In two lines each, so that no digit is cut at 80 columns; notes stand below."""
    numbers = ("mean\nbaseline", "difference", "anytime\ninterval", "anytime p\nadjusted p")
    table = narrow("metric", "arm", "verdict", *numbers, wraps=3)
    for each in comparisons:
        said = each.guard if each.guard is not None else each.verdict
        worth = f", {each.worth.replace('_', ' ')} shipping" if each.worth else ""
        table.add_row(
            f"{each.metric}\n{each.role}",
            each.arm,
            said.replace("_", " ") + worth,
            f"{number(each.mean_arm)}\n{number(each.mean_baseline)}",
            number(each.difference),
            interval(each.anytime_lower, each.anytime_upper, "\n"),
            f"{number(each.anytime_p_value)}\n{number(each.adjusted_p_value)}",
        )
    yield table
    for each in comparisons:
        if note := _note(each):
            yield Text(f"  {each.metric}, {each.arm}: {note}", "dim")


def _pairs(verdict: AbVerdict) -> Table:
    table = Table("metric", "arm", "other", "difference", "anytime interval", "verdict")
    for each in verdict.pairs:
        table.add_row(
            each.metric,
            each.arm,
            each.other,
            number(each.difference),
            interval(each.anytime_lower, each.anytime_upper),
            each.verdict.replace("_", " "),
        )
    return table


def _beliefs(verdict: AbVerdict) -> Table:
    table = Table("metric", "arm", "probably best", "expected loss", "credible interval")
    for each in verdict.beliefs:
        table.add_row(
            each.metric,
            each.arm,
            f"{each.probability_best:.1%}",
            number(each.expected_loss),
            interval(each.lower, each.upper),
        )
    return table


def _note(each: Comparison) -> str:
    found = [each.note or ""]
    if each.design_effect is not None:
        found.append(f"design effect {each.design_effect:.2f}")
    if each.variance_left is not None:
        found.append(f"covariate leaves {each.variance_left:.0%} of the variance")
    return "; ".join(filter(None, found))
