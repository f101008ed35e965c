"""Does an event become dearer when there are more of them, or more past panes? It must not."""

from bench.context import Context
from bench.figures import Figure, median, ratio
from bench.parts.data_lane import count, fill
from bench.parts.storage_lane import insert_panes_seconds

SMALL, LARGE, HUGE = 100_000, 1_000_000, 10_000_000
PAST_PANES = 2_000_000


def run(context: Context) -> dict[str, Figure]:
    """CPU an event at growing numbers of events; time of an insert with and without a past."""
    sizes = (SMALL, LARGE, HUGE) if context.full else (SMALL, LARGE)
    costs = {size: _cpu_us(context, size) for size in sizes}
    context.say(f"inserting panes into an empty table, and beside {PAST_PANES:,} past ones")
    fresh, aged = insert_panes_seconds(context, PAST_PANES)
    return {
        **{f"scaling.cpu_us_per_event_at_{size}": round(us, 4) for size, us in costs.items()},
        "scaling.events_growth": round(max(costs.values()) / costs[SMALL], 3),
        "scaling.past_panes": PAST_PANES,
        "scaling.panes_growth": round(ratio(aged, fresh), 3),
    }


def _cpu_us(context: Context, events: int) -> float:
    load = fill(context, events)
    runs = []
    for number in range(1, context.rounds + 1):
        context.say(f"round {number} of {context.rounds}: the data lane on {events:,} events")
        last = count(context, load)[-1]
        runs.append(last.cpu_s / last.events * 1e6)
    return median(runs)
