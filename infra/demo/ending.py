"""What the demo says at its end: the comparison, what came out, and where to look next."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from rich.console import Console

from infra.demo import asked, reconcile
from infra.demo.bars import quantity
from infra.demo.feed import leader_of
from infra.demo.session import ORG, Outcome
from infra.settings import Settings
from schemas.records import AbVerdict, SelectionUpdate

NEXT = """\
What to look at next
  rheostat demo --keep            the same, left running for queries and dashboards
  rheostat produce FILE --map …   your own calls from JSONL or CSV (docs/produce.md)
  rheostat up                     the stack alone, for your own producers
  docs/demo.md                    what is real here and what is derived
  docs/selection.md               how a model is chosen
  docs/registry-file.md           how to declare models, A/B tests and policies
"""
RUNNING = """\
The stack keeps running; Ctrl-C stops it. Ask it, for example:
  {api}/docs in a browser: the REST API (a key: rheostat keys create --org demo --role viewer)
  curl -s {clickhouse} -d 'SELECT model_id, count() FROM rheostat.inference_events GROUP BY 1'
  curl -s {clickhouse} -d 'SELECT capability, reason FROM rheostat.selection_updates LIMIT 9'
Other commands find it by its data dir: RHEOSTAT_DATA_DIR={data_dir}
"""


def show(outcome: Outcome, settings: Settings, keep: bool, console: Console) -> None:
    """Prints all of it."""
    result = outcome.reconciliation
    console.print(reconcile.table(result))
    for fault in result.faults:
        console.print(fault, style="red", markup=False)
    if not result.exact:
        console.print("Not everything that was produced was found again.", style="bold red")
    console.print()
    for line in (*_verdict_lines(outcome.verdicts), *_selection_lines(outcome.selections)):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    for verdict in outcome.verdicts:
        console.print(f"\n[bold]What else {verdict.ab_test_id} can be asked[/]")
        console.print(asked.shown(tuple(asked.asked(settings, verdict.ab_test_id, ORG))))
    console.print(f"\n{NEXT}", markup=False, highlight=False, soft_wrap=True)
    if keep:
        url = without_password(settings.clickhouse)
        text = RUNNING.format(clickhouse=url, api=settings.api, data_dir=settings.data_dir)
        console.print(text, markup=False, highlight=False, soft_wrap=True)


def without_password(url: str) -> str:
    """The URL as it may be shown."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def _verdict_lines(verdicts: Iterable[AbVerdict]) -> Iterator[str]:
    empty = True
    for verdict in verdicts:
        empty = False
        yield f"A/B test {verdict.ab_test_id}: {verdict.status}. {verdict.decision or ''}".rstrip()
        for c in verdict.comparisons:
            if c.difference is not None:
                low, high = (quantity(c.metric, b) for b in (c.anytime_lower, c.anytime_upper))
                yield (
                    f"  {c.arm} against {c.baseline}, {c.metric}: "
                    f"{quantity(c.metric, c.difference, sign=True)}, between {low} and {high} "
                    f"at every look ({c.verdict.replace('_', ' ')})"
                )
    if empty:
        yield "A/B test: no verdict was published."


def _selection_lines(selections: Iterable[SelectionUpdate]) -> Iterator[str]:
    led: defaultdict[str, list[str]] = defaultdict(list)
    for update in selections:
        leader = leader_of(update)
        led[leader.model_id if leader else "nobody"].append(update.capability)
    if not led:
        yield "Selection: nothing was published."
    for model, capabilities in sorted(led.items(), key=lambda item: len(item[1])):
        yield f"Selection: {model} leads {len(capabilities)}: {', '.join(capabilities)}"
