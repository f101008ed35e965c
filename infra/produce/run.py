"""`rheostat produce`: one's own calls from a file, all of them checked before the first is sent."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from agents.errors import Problem
from infra.errors import OperatorError
from infra.produce.check import Checked, Checker
from infra.produce.fields import TIME_FORMATS, fields_of
from infra.produce.mapping import FieldMapping, mapping
from infra.produce.rows import THE_LINE, Input, columns, open_input, rows
from infra.produce.send import Sender
from infra.settings import Settings
from infra.workers import DAY_MS, catalog, kafka_config
from schemas.topics import TOPICS, Topic
from schemas.wire import Codec

TOPICS_TAKEN = (Topic.INFERENCE_EVENTS, Topic.FEEDBACK_EVENTS)
SHOWN_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class ProduceOptions:
    """What the command line asks for. `skip`: send the good lines although others are bad."""

    path: Path
    topic: str = Topic.INFERENCE_EVENTS.value
    format: str = "auto"
    delimiter: str | None = None
    maps: Sequence[str] = ()
    sets: Sequence[str] = ()
    time_format: str = "auto"
    dry_run: bool = False
    show: int = 3
    rate_per_s: float | None = None
    skip: bool = False
    rejects: Path | None = None


@dataclass(slots=True)
class Tally:
    """What the file holds."""

    good: int = 0
    bad_lines: int = 0
    by_field: Counter[str] = field(default_factory=Counter)


def run(settings: Settings, options: ProduceOptions, out: Console, err: Console) -> int:
    """The exit code: 1 when a line is bad and bad lines are not to be skipped.

    Raises OperatorError when the options or the file make no sense, or sending fails.
    """
    source = open_input(options.path, options.format, options.delimiter)
    codec = Codec(catalog(settings))
    how = _mapping(options, codec)
    _require_sources(how, source)
    checker = Checker(how, codec, settings.retention_days * DAY_MS, int(time.time() * 1000))
    tally = _check_all(checker, source, options, out, err)
    refused = tally.bad_lines > 0 and not options.skip
    sent = 0
    if not options.dry_run and not refused and tally.good:
        sent = _send_all(settings, checker, source, options, tally.good, err)
    _summarise(tally, sent, options, out)
    if refused:
        err.print(
            "Nothing was sent, because of the lines above: correct them, or send the others with "
            "--on-error skip.",
            style="red",
        )
    return 1 if refused else 0


def _mapping(options: ProduceOptions, codec: Codec) -> FieldMapping:
    if options.topic not in TOPICS_TAKEN:
        raise OperatorError(f"--topic {options.topic} is none of {', '.join(TOPICS_TAKEN)}.")
    if options.time_format not in TIME_FORMATS and "%" not in options.time_format:
        raise OperatorError(
            f"--time-format {options.time_format} is none of {', '.join(TIME_FORMATS)}, and no "
            "pattern such as '%d/%m/%Y %H:%M'."
        )
    record = str(TOPICS[Topic(options.topic)].record)
    fields = fields_of(record, codec.catalog)
    return mapping(record, fields, options.maps, options.sets, options.time_format)


def _require_sources(how: FieldMapping, source: Input) -> None:
    """Raises OperatorError for columns that are not there and fields that nothing fills."""
    known = columns(source)
    absent = [c.name for c in how.columns.values() if c.name not in known]
    if absent and known:
        raise OperatorError(
            f"{source.path} has no column {', '.join(absent)}; its columns are "
            f"{', '.join(sorted(known))}."
        )
    missing = how.missing(known)
    if missing and known:
        raise OperatorError(
            f"nothing fills {', '.join(missing)}: name a column with --map {missing[0]}=COLUMN or "
            f"a value with --set {missing[0]}=VALUE. Columns of {source.path}: "
            f"{', '.join(sorted(known))}."
        )


def _check_all(
    checker: Checker, source: Input, options: ProduceOptions, out: Console, err: Console
) -> Tally:
    """Reads and checks the whole file; shows problems, and in a dry run the first events."""
    tally, shown_events, shown_problems = Tally(), 0, 0
    with _progress(err) as progress, _rejects_file(options.rejects) as file:
        task = progress.add_task("checking", total=None)
        for checked in checker.check(rows(source)):
            tally.good += len(checked.messages)
            for problem in checked.problems:
                tally.by_field[problem.field.partition(" (")[0]] += 1
                shown_problems += 1
                if shown_problems <= SHOWN_PROBLEMS:
                    said = f"{source.path.name}, line {problem.line}: {_said(problem)}"
                    err.print(said, markup=False, highlight=False, soft_wrap=True)
                if file is not None:
                    file.write(_reject_line(problem))
            tally.bad_lines += len({problem.line for problem in checked.problems})
            if options.dry_run and shown_events < options.show:
                for message in checked.messages[: options.show - shown_events]:
                    out.print_json(_decoded(checker, message))
                    shown_events += 1
            progress.update(task, completed=tally.good + tally.bad_lines)
    if shown_problems > SHOWN_PROBLEMS:
        rest = f"… and {shown_problems - SHOWN_PROBLEMS:,} more problems"
        where = f", all in {options.rejects}" if options.rejects else "; --rejects FILE keeps all"
        err.print(rest + where)
    return tally


def _decoded(checker: Checker, message: bytes) -> str:
    event = checker.codec.decode(message, checker.mapping.record)
    return orjson.dumps(event, option=orjson.OPT_UTC_Z).decode()


def _said(problem: Problem) -> str:
    return problem.text if problem.field == THE_LINE else f"{problem.field} {problem.text}"


def _reject_line(problem: Problem) -> bytes:
    value = {"line": problem.line, "field": problem.field, "problem": problem.text}
    return orjson.dumps(value) + b"\n"


def _rejects_file(path: Path | None) -> Any:
    return nullcontext(None) if path is None else path.open("wb")


def _send_all(
    settings: Settings,
    checker: Checker,
    source: Input,
    options: ProduceOptions,
    total: int,
    err: Console,
) -> int:
    """Reads the file once more and sends what is good; how many the broker acknowledged."""
    kafka = kafka_config(settings)
    sender = Sender(kafka, kafka.topic(Topic(options.topic)), options.rate_per_s)
    queued = 0
    with _progress(err) as progress:
        task = progress.add_task("sending", total=total)
        try:
            for message, key in _messages(checker.check(rows(source))):
                sender.send(message, key)
                queued += 1
                if queued % 100 == 0 or options.rate_per_s is not None:
                    progress.update(task, completed=queued)
        finally:
            # After Ctrl-C too: what was queued is sent, so that the count below is true.
            sender.finish()
        progress.update(task, completed=queued)
    if queued != total:
        raise OperatorError(
            f"{source.path} changed while it was read: {total} lines were good, {queued} were sent."
        )
    return sender.acknowledged


def _messages(checked: Iterable[Checked]) -> Iterator[tuple[bytes, str]]:
    for part in checked:
        yield from zip(part.messages, part.keys, strict=True)


def _progress(err: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    )


def _summarise(tally: Tally, sent: int, options: ProduceOptions, out: Console) -> None:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(justify="right")
    table.add_column()
    table.add_row(f"{tally.good + tally.bad_lines:,}", f"lines read from {options.path.name}")
    table.add_row(f"{tally.good:,}", "good")
    fields = ", ".join(f"{name} {count:,}" for name, count in tally.by_field.most_common())
    table.add_row(f"{tally.bad_lines:,}", f"bad: {fields}" if fields else "bad")
    fate = "sent: a dry run sends nothing" if options.dry_run else f"sent to {options.topic}"
    table.add_row(f"{sent:,}", fate)
    out.print(table, highlight=False)
