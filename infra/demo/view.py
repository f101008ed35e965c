"""The live view: panels that fit a terminal of 80x24 and make use of a larger one."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from infra.demo.bars import quantity, spark
from infra.demo.feed import Change, leader_of
from infra.demo.state import Picture
from infra.demo.view_ab import BORDER, TITLE, ab_panel, ab_rows
from schemas.records import SelectionUpdate

WIDE = 110
"""From this many columns on there is room for more."""
TALL = 30
"""From this many lines on the selections have a table of their own."""
SMALLEST = (76, 22)
"""Columns and lines below which the live view cannot be read."""
DERIVED = "latency and timeouts are derived from tokens; all else is real"
FLOW_WIDTH = 37


def render(picture: Picture, width: int, height: int) -> Layout:
    """The whole view for a terminal of this size."""
    layout = Layout()
    models = 3 + max(2, len(picture.models))
    parts = [
        Layout(_header(picture, width), size=1),
        Layout(_upper(picture, width), size=5),
        Layout(_models(picture), size=models),
        Layout(ab_panel(picture, width), size=2 + ab_rows(picture)),
        Layout(_selection(picture, width, height), ratio=1),
    ]
    layout.split_column(*parts)
    return layout


def _header(picture: Picture, width: int) -> RenderableType:
    left_s = max(0.0, (picture.span_s - picture.trace_s) / picture.speed)
    state = f"{picture.phase}  {left_s:.0f} s left" if left_s else picture.phase
    grid = Table.grid(expand=True, padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(ratio=1)
    grid.add_column(no_wrap=True, justify="right")
    title = Text.assemble(
        ("rheostat demo", "bold cyan"),
        f"  {_clock(picture.trace_s)} of {_clock(picture.span_s)} at {picture.speed:g}x",
    )
    bar = ProgressBar(
        total=1.0,
        completed=picture.share_done,
        width=max(8, width - 62),
        complete_style="cyan",
        finished_style="cyan",
    )
    grid.add_row(title, bar, Text((picture.fault or state)[:40], "red" if picture.fault else ""))
    return grid


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _upper(picture: Picture, width: int) -> Layout:
    both = Layout()
    flow_width = max(FLOW_WIDTH, width * 2 // 5)
    both.split_row(
        Layout(_flow(picture, flow_width), size=flow_width),
        Layout(_letters(picture, width), ratio=1),
    )
    return both


def _flow(picture: Picture, width: int) -> Panel:
    flow = picture.flow
    grid = Table.grid(padding=(0, 1))
    grid.add_column()
    grid.add_column(justify="right")
    grid.add_column(justify="right")
    grid.add_column(no_wrap=True)
    total = flow.sent + flow.malformed
    room = max(4, width - 27)
    history = Text(spark(flow.sent_per_s_history, room), "cyan")
    grid.add_row("sent", f"{total:,}", f"{flow.sent_per_s:,.0f}/s", history)
    grid.add_row(
        "counted", f"{flow.counted:,}", f"{flow.counted_per_s:,.0f}/s", _lag(flow.to_count)
    )
    grid.add_row("stored", f"{flow.stored:,}", "", _lag(flow.to_store))
    return _panel(grid, "Throughput and lag")


def _lag(waiting: int) -> Text:
    return Text(f"lag {waiting:,}", "yellow" if waiting > 1000 else "dim")


def _letters(picture: Picture, width: int) -> Panel:
    columns = 2 if width < WIDE else 3
    lines = 3 * columns
    found = [f"{count:>3} {reason}" for reason, count in picture.dead_letters]
    if len(found) > lines:
        found = [*found[: lines - 1], f"  … {len(found) - lines + 1} more reasons"]
    grid = Table.grid(expand=True, padding=(0, 1))
    for _ in range(columns):
        grid.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    for row in range(3):
        cells = [
            found[i] if i < len(found) else "" for i in range(row * columns, (row + 1) * columns)
        ]
        grid.add_row(*cells)
    total = sum(count for _, count in picture.dead_letters)
    return _panel(grid, f"Dead letters: {total} of {picture.flow.malformed} malformed")


def _models(picture: Picture) -> Panel:
    table = Table(box=None, expand=True, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("model", no_wrap=True)
    for name in ("calls", "quality", "errors", "p50", "p95"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("$/1k calls", justify="right", no_wrap=True)
    for m in picture.models:
        thousand = None if m.cost_usd_mean is None else 1000 * m.cost_usd_mean
        table.add_row(
            Text(m.model_id, model_style(m.model_id)),
            f"{m.calls:,}",
            quantity("quality", m.quality),
            quantity("error", m.error_rate),
            quantity("latency_ms", m.latency_p50_ms),
            quantity("latency_ms", m.latency_p95_ms),
            "–" if thousand is None else f"{thousand:.2f}",
        )
    title = f"Models over the last {picture.window_minutes:g} min of event time"
    shown = table if picture.models else Text("nothing counted yet", "dim")
    return _panel(shown, title, DERIVED)


def model_style(model_id: str) -> str:
    """A colour for each of the two models, wherever it is named."""
    return "magenta" if model_id.startswith("gpt") else "blue"


def _selection(picture: Picture, width: int, height: int) -> RenderableType:
    news = picture.news
    taken = sum(change.takes_over for change in news.changes)
    title = (
        f"Selection: {len(news.selections)} subjects, {news.updates:,} updates, "
        f"{taken} with a new leader"
    )
    shown = _changes(picture.changes[:height])
    if height < TALL or width < WIDE:
        return _panel(shown, title)
    both = Layout()
    both.split_row(
        Layout(_panel(_serving(picture), "Who serves now, calls in the window"), size=50),
        Layout(_panel(shown, title), ratio=1),
    )
    return both


def _changes(changes: Sequence[Change]) -> RenderableType:
    """A line each; a new leader has a second one for the whole reason."""
    if not changes:
        return Text("no selection published yet", "dim")
    shown: list[RenderableType] = []
    for change in changes:
        line = Text.assemble(
            (f"{change.issued_at:%M:%S} ", "dim"),
            (f"{change.capability} ", "bold" if change.takes_over else ""),
            no_wrap=True,
            overflow="ellipsis",
        )
        if change.takes_over and change.before is not None:
            line.append(short(change.before), model_style(change.before))
            line.append(" → ", "bold green")
        line.append(short(change.leader_id), f"bold {model_style(change.leader_id)}")
        if change.leader is not None:
            line.append(f" {change.leader.weight:.0%} ")
        if change.takes_over:
            shown += [line, Text(f"      {change.why}", no_wrap=True, overflow="ellipsis")]
        else:
            shown.append(line.append(change.why, "dim"))
    return Group(*shown)


def short(model_id: str) -> str:
    """The part of a model's name that tells the demo's two apart."""
    return "gpt-4" if model_id.startswith("gpt-4") else model_id.partition("-")[0]


def _serving(picture: Picture) -> Table:
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, justify="right")
    for update in sorted(picture.news.selections.values(), key=_samples, reverse=True):
        leader = leader_of(update)
        if leader is not None:
            grid.add_row(
                Text(update.capability),
                _shares(update),
                Text(f"{_samples(update):,}", "dim"),
            )
    return grid


def _samples(update: SelectionUpdate) -> int:
    return sum(c.samples for c in update.candidates)


def _shares(update: SelectionUpdate) -> Text:
    """A line of ten in the colours of the models, by share."""
    drawn = Text()
    for candidate in update.candidates:
        drawn.append("━" * round(10 * candidate.weight), model_style(candidate.model_id))
    return drawn


def _panel(content: RenderableType, title: str, subtitle: str | None = None) -> Panel:
    return Panel(
        content,
        title=Text(title, TITLE),
        title_align="left",
        subtitle=subtitle,
        subtitle_align="right",
        border_style=BORDER,
        padding=(0, 1),
    )
