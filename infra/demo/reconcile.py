"""Whether everything produced is counted once and stored once, or filed once, kind by kind."""

from collections.abc import Mapping
from dataclasses import dataclass

from rich import box
from rich.table import Table

from infra.demo.replay import Sent
from sinks.reader import Reader


@dataclass(frozen=True, slots=True)
class Found:
    """What the tables hold of a run. By A/B test ('' is other traffic), letters by reason code."""

    counted: Mapping[str, int]
    stored: Mapping[str, int]
    stored_twice: int
    dead_letters: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of record. None: does not apply to it."""

    kind: str
    produced: int
    counted: int | None = None
    stored: int | None = None
    dead_lettered: int | None = None

    @property
    def equal(self) -> bool:
        found = (self.counted, self.stored, self.dead_lettered)
        return all(count == self.produced for count in found if count is not None)


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """Every kind, and what went wrong besides."""

    rows: tuple[Row, ...]
    faults: tuple[str, ...]

    @property
    def exact(self) -> bool:
        return not self.faults and all(row.equal for row in self.rows)


def find(reader: Reader, org_id: str, run_id: str, topic: str, sent: Sent) -> Found:
    """Asks the tables. `counted` includes what the organisation had before the run."""
    records = [at for coordinates in sent.broken.values() for at in coordinates]
    return Found(
        reader.counted(org_id),
        reader.stored(org_id, run_id),
        reader.stored_twice(org_id, run_id),
        reader.dead_letters(topic, records),
    )


def reconcile(sent: Sent, found: Found, counted_before: Mapping[str, int]) -> Reconciliation:
    """Compares. Kinds that were found without having been sent are differences too."""
    counted = {test: count - counted_before.get(test, 0) for test, count in found.counted.items()}
    tests = sorted(
        {*sent.by_test, *found.stored, *(test for test, count in counted.items() if count)},
        reverse=True,
    )
    rows = [
        Row(
            f"A/B test {test}" if test else "selection traffic",
            sent.by_test.get(test, 0),
            counted.get(test, 0),
            found.stored.get(test, 0),
        )
        for test in tests
    ]
    rows += [
        Row(
            f"malformed: {reason}",
            sent.reasons.get(reason, 0),
            dead_lettered=found.dead_letters.get(reason, 0),
        )
        for reason in sorted({*sent.reasons, *found.dead_letters})
    ]
    faults = list(sent.failures)
    if found.stored_twice:
        faults.append(f"{found.stored_twice} rows of inference_events are stored twice")
    return Reconciliation(tuple(rows), tuple(faults))


def table(result: Reconciliation) -> Table:
    """The comparison, with a line of totals."""
    shown = Table(
        title="Reconciliation",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
    )
    shown.add_column("kind", no_wrap=True)
    for name in ("produced", "counted", "stored", "dead letters"):
        shown.add_column(name, justify="right")
    shown.add_column("")
    for row in result.rows:
        shown.add_row(*_cells(row), _mark(row.equal))
    shown.add_section()
    total = Row(
        "all",
        sum(row.produced for row in result.rows),
        sum(row.counted or 0 for row in result.rows),
        sum(row.stored or 0 for row in result.rows),
        sum(row.dead_lettered or 0 for row in result.rows),
    )
    shown.add_row(*_cells(total), _mark(result.exact), style="bold")
    return shown


def _cells(row: Row) -> list[str]:
    counts = (row.produced, row.counted, row.stored, row.dead_lettered)
    return [row.kind, *("" if count is None else f"{count:,}" for count in counts)]


def _mark(equal: bool) -> str:
    return "[green]equal[/]" if equal else "[bold red]DIFFERS[/]"
