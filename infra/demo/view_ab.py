"""The A/B test in the live view: for each metric its anytime-valid interval around zero."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from infra.demo.bars import axis, interval, quantity, spark
from infra.demo.state import Picture
from schemas.records import AbVerdict, Comparison

ROWS_WHILE_COLLECTING = 4
LEGEND = "interval of the difference, valid at every look; right of 0 is better"
BORDER = "bright_black"
TITLE = "bold default"
SPARKS = 16
WIDE = 110
SRM_SUSPECT = 0.001
RECOMMENDATIONS = {
    "ship": "bold green",
    "roll_back": "bold red",
    "no_difference": "bold cyan",
    "keep_going": "bold yellow",
    "invalid": "bold red",
}
STYLES = {
    "better": "bold green",
    "worse": "bold red",
    "no_difference": "cyan",
    "undecided": "yellow",
    "no_estimate": "dim",
}


def ab_rows(picture: Picture) -> int:
    """Lines that the panel needs inside."""
    if picture.verdict is None:
        return ROWS_WHILE_COLLECTING
    return len(picture.verdict.comparisons) + len(_said(picture.verdict))


def ab_panel(picture: Picture, width: int) -> Panel:
    """The newest verdict; "collecting" while there is none."""
    verdict = picture.verdict
    title: Text
    content: RenderableType
    if verdict is None:
        title, content = (
            Text("A/B test", TITLE),
            Text("collecting: no verdict published yet", "dim"),
        )
    else:
        title = _title(verdict)
        content = Group(_comparisons(picture.news.verdicts, width), *_said(verdict))
    return Panel(
        content,
        title=title,
        title_align="left",
        subtitle=LEGEND,
        subtitle_align="right",
        border_style=BORDER,
        padding=(0, 1),
    )


def _said(verdict: AbVerdict) -> list[Text]:
    """What to do and why, in a line each; what speaks against the numbers, if anything does."""
    if not verdict.reason:
        return []
    do = verdict.recommendation.replace("_", " ")
    style = RECOMMENDATIONS[verdict.recommendation]
    by = f" (by {verdict.analysis})"
    lines = [Text.assemble((do, style), by, f": {verdict.reason}")]
    if verdict.warning is not None:
        lines.append(Text(f"warning: {verdict.warning}", "yellow"))
    for line in lines:
        line.no_wrap, line.overflow = True, "ellipsis"
    return lines


def _title(verdict: AbVerdict) -> Text:
    arms = " : ".join(f"{a.arm} {a.events:,}" for a in verdict.arms)
    style = {"decided": "bold green", "invalid": "bold red"}.get(verdict.status, "yellow")
    title = Text.assemble(
        (f"A/B test {verdict.ab_test_id}: ", TITLE), (verdict.status, style), f"  {arms}"
    )
    if verdict.winner is not None:
        title.append(f"  {verdict.winner} wins", "bold green")
    if verdict.srm_p_value is not None and verdict.srm_p_value < SRM_SUSPECT:
        title.append(f"  SRM p={verdict.srm_p_value:.1g}", "bold red")
    return title


def _comparisons(verdicts: Sequence[AbVerdict], width: int) -> Table:
    """Name, interval as a bar and in numbers, verdict; and how the interval's width went."""
    rows = [(each, _past(verdicts, each)) for each in verdicts[-1].comparisons]
    texts = [_texts(each, past, width >= WIDE) for each, past in rows]
    used = sum(max(text.cell_len for text in column) + 1 for column in zip(*texts, strict=True))
    grid = Table.grid(padding=(0, 1, 0, 0))
    for justify in ("left", "left", "right", "right", "left", "left"):
        grid.add_column(no_wrap=True, justify=justify)
    for (each, past), (name, *numbers) in zip(rows, texts, strict=True):
        grid.add_row(name, _bar(each, past, max(11, width - 5 - used)), *numbers)
    return grid


def _texts(
    comparison: Comparison, past: Sequence[tuple[float, float]], wide: bool
) -> tuple[Text, ...]:
    widths = [upper - lower for lower, upper in past]
    return (
        Text(comparison.metric, "bold" if comparison.role == "primary" else ""),
        Text(quantity(comparison.metric, comparison.difference, sign=True)),
        Text(_range(comparison), "dim"),
        Text(comparison.verdict.replace("_", " "), STYLES[comparison.verdict]),
        *([Text(spark(_thinned(widths, SPARKS), SPARKS).ljust(SPARKS), "dim")] if wide else []),
    )


def _past(verdicts: Sequence[AbVerdict], like: Comparison) -> list[tuple[float, float]]:
    """The intervals of the same metric and arm, oldest first."""
    return [bounds for verdict in verdicts if (bounds := _bounds(verdict, like)) is not None]


def _bar(comparison: Comparison, past: Sequence[tuple[float, float]], width: int) -> Text:
    """Turned so that right is better."""
    half = axis(past)
    bounds = _own_bounds(comparison)
    if half is None or bounds is None:
        return Text(comparison.note or "no estimate yet", "dim", no_wrap=True, overflow="ellipsis")
    middle = comparison.difference
    if comparison.direction == "lower":
        bounds = (-bounds[1], -bounds[0])
        middle = None if middle is None else -middle
    return interval(bounds, middle, half, width)


def _bounds(verdict: AbVerdict, like: Comparison) -> tuple[float, float] | None:
    """The interval that a verdict has of the same metric and arm."""
    for each in verdict.comparisons:
        if (each.metric, each.arm) == (like.metric, like.arm):
            return _own_bounds(each)
    return None


def _own_bounds(comparison: Comparison) -> tuple[float, float] | None:
    lower, upper = comparison.anytime_lower, comparison.anytime_upper
    return None if lower is None or upper is None else (lower, upper)


def _range(comparison: Comparison) -> str:
    bounds = _own_bounds(comparison)
    if bounds is None:
        return ""
    lower, upper = (quantity(comparison.metric, bound) for bound in bounds)
    return f"[{lower.removesuffix(' ms')}, {upper.removesuffix(' ms')}]"


def _thinned(values: Sequence[float], count: int) -> list[float]:
    """At most `count` of the values, evenly over all of them, the last included."""
    if len(values) <= count:
        return list(values)
    step = (len(values) - 1) / (count - 1)
    return [values[round(i * step)] for i in range(count)]
