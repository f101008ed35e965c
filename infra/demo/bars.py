"""Small drawings in text: an interval around zero, past values as bars, values with units. Pure."""

from collections.abc import Iterable, Sequence

from rich.text import Text

SPARKS = "▁▂▃▄▅▆▇█"
ZOOM = 0.4
"""The axis is narrowed once the interval would fill less than this part of it."""


def axis(intervals: Iterable[tuple[float, float]]) -> float | None:
    """Half the width of the axis for the last interval; None without any.

    It begins as wide as the first interval reaches, so that the interval is seen to shrink, and
    follows when little of it would be left.
    """
    half: float | None = None
    for lower, upper in intervals:
        reach = max(abs(lower), abs(upper))
        if half is None or reach > half:
            half = reach
        elif reach < half * ZOOM:
            half = reach / ZOOM
    return half or None


def interval(bounds: tuple[float, float], middle: float | None, half: float, width: int) -> Text:
    """The interval on an axis from -half to half with 0 in the middle; `width` characters, odd.

    Green where the bar lies to the right of 0, red to the left, yellow where it covers 0: the
    caller turns signs so that right is better.
    """
    width -= 1 - width % 2
    centre = width // 2

    def place(value: float) -> int:
        return min(width - 1, max(0, round(centre + value / half * centre)))

    lower, upper = place(bounds[0]), place(bounds[1])
    colour = "green" if bounds[0] > 0 else "red" if bounds[1] < 0 else "yellow"
    drawn = Text()
    for at in range(width):
        if middle is not None and at == place(middle):
            drawn.append("●", f"bold {colour}")
        elif lower <= at <= upper:
            drawn.append("━", colour)
        elif at == centre:
            drawn.append("┃", "bold")
        else:
            drawn.append("─", "dim")
    return drawn


def spark(values: Sequence[float], width: int) -> str:
    """The last `width` values as bars from 0 to their maximum."""
    shown = values[-width:]
    top = max(shown, default=0.0)
    if top <= 0:
        return SPARKS[0] * len(shown)
    return "".join(SPARKS[min(7, int(max(0.0, v) / top * 7.999))] for v in shown)


def quantity(metric: str, value: float | None, sign: bool = False) -> str:
    """A value with the unit of its metric, short; a dash when there is no estimate."""
    if value is None:
        return "–"
    plus = "+" if sign and value > 0 else ""
    if metric in ("latency_ms", "ttft_ms"):
        return f"{plus}{value:,.0f} ms"
    if metric == "cost_usd":
        return f"{'-' if value < 0 else plus}${abs(value):.4f}"
    if metric == "error":
        return f"{plus}{value:.1%}"
    return f"{plus}{value:.3f}"
