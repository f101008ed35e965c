"""One replay against a running stack: send, show, reconcile, and say what was found."""

import time
import uuid
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

from rich.console import Console
from rich.live import Live

from agents.registry.file import parse
from infra.demo import reconcile, svg
from infra.demo.background import Task, background
from infra.demo.client import config as client_config
from infra.demo.dataset import arrivals, questions
from infra.demo.events import Clock, Run
from infra.demo.feed import Bulletin, Feed
from infra.demo.lines import Lines
from infra.demo.plan import Plan, plan
from infra.demo.reconcile import Reconciliation
from infra.demo.replay import Replay, ReplayConfig
from infra.demo.routing import Facts
from infra.demo.view import SMALLEST, render
from infra.demo.watch import Context, Watch
from infra.settings import Settings
from infra.workers import catalog, kafka_config
from schemas.records import AbVerdict, SelectionUpdate
from schemas.wire import Codec
from sinks.clickhouse import ClickHouse
from sinks.errors import Backpressure
from sinks.reader import Reader

ORG = "demo"
REGISTRY = resources.files("infra.demo") / "data" / "registry.yaml"
FRAME_S = 0.25
SETTLE_S = 90.0
VERDICTS_S = 30.0
STILL_LINES = 36
STILL_S = 2.0
"""Counts that are equal are looked at again after this long, in case one is too many."""
PICTURE_AT = 0.8
"""How far the run is when it is drawn for `save_svg`."""


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """What is replayed and how it is shown. `requests` None: the whole trace."""

    speed: float = 60.0
    requests: int | None = None
    seed: int = 1
    live: bool = True
    save_svg: Path | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a session found."""

    reconciliation: Reconciliation
    verdicts: tuple[AbVerdict, ...]
    selections: tuple[SelectionUpdate, ...]


def replay(settings: Settings, options: SessionOptions, console: Console) -> Outcome:
    """Sends everything, shows it meanwhile, and compares. The registry has been applied."""
    codec, kafka = Codec(catalog(settings)), kafka_config(settings)
    todo = plan(arrivals(), questions(), options.seed, options.requests)
    run, bulletin = _run(todo, options.speed, options.seed), Bulletin(ORG)
    facts = Facts.of(parse(REGISTRY.read_text(encoding="utf-8"), REGISTRY.name).entities)
    client = client_config(settings, ORG)
    config = ReplayConfig(kafka, client, run, options.speed, settings.retention_days)
    sending = Replay(config, todo, facts, codec)
    reader, second = (Reader(ClickHouse(settings.clickhouse)) for _ in range(2))
    context = Context(run, todo, options.speed, reader.counted(ORG))
    watch = Watch(context, sending, bulletin, second)
    with (
        background("feed", Feed(kafka, codec, bulletin).run),
        background("watch", watch.run),
        background("replay", sending.run) as task,
    ):
        settling = Settling(reader, context, sending)
        result = _show(watch, task, settling, options, console)
    verdicts = _complete(reader, sending.sent().by_test)
    return Outcome(result, verdicts, tuple(reader.latest_selections(ORG)))


def _complete(reader: Reader, by_test: Mapping[str, int]) -> tuple[AbVerdict, ...]:
    """The newest verdicts, once they rest on every call of their tests: the monitor and the sink
    follow the counts. What there is after VERDICTS_S."""
    deadline_s = time.monotonic() + VERDICTS_S
    while True:
        verdicts = tuple(reader.latest_verdicts(ORG))
        judged = {v.ab_test_id: sum(arm.events for arm in v.arms) for v in verdicts}
        missing = any(judged.get(test, 0) < calls for test, calls in by_test.items() if test)
        if not missing or time.monotonic() > deadline_s:
            return verdicts
        time.sleep(FRAME_S)


def _run(todo: Plan, speed: float, seed: int) -> Run:
    now = datetime.now(UTC)
    end_ms = int(now.timestamp() * 1000 + todo.span_ms / speed)
    name = f"{now:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}"
    return Run(name, ORG, seed, Clock(end_ms, todo.span_ms))


class Settling:
    """After the last record: compares until all is equal and stays so, or time is up."""

    def __init__(self, reader: Reader, context: Context, sending: Replay) -> None:
        self._reader = reader
        self._context = context
        self._sending = sending
        self._begin_s: float | None = None
        self._equal_s: float | None = None

    def look(self, now_s: float) -> Reconciliation | None:
        """The final comparison; None: look again."""
        self._begin_s = now_s if self._begin_s is None else self._begin_s
        late = now_s - self._begin_s > SETTLE_S
        try:
            result = self._compare()
        except Backpressure:
            if late:
                raise
            return None
        if not result.exact:
            self._equal_s = None
            return result if late or result.faults else None
        self._equal_s = now_s if self._equal_s is None else self._equal_s
        return result if now_s - self._equal_s >= STILL_S else None

    def _compare(self) -> Reconciliation:
        run, sent = self._context.run, self._sending.sent()
        found = reconcile.find(self._reader, run.org_id, run.run_id, self._sending.topic, sent)
        return reconcile.reconcile(sent, found, self._context.counted_before)


def _show(
    watch: Watch, task: Task, settling: Settling, options: SessionOptions, console: Console
) -> Reconciliation:
    """Shows the run until it is settled; leaves the last view on the screen."""
    lines, result, drawn = Lines(), None, options.save_svg is None
    large = console.width >= SMALLEST[0] and console.height >= SMALLEST[1]
    live = options.live and console.is_terminal and large
    screen = Live(console=console, screen=True, auto_refresh=False, transient=True)
    with screen if live else nullcontext():
        while result is None:
            picture = watch.picture()
            if live:
                screen.update(render(picture, console.width, console.height), refresh=True)
            else:
                for line in lines.since(picture):
                    console.print(line, markup=False, highlight=False, soft_wrap=True)
            if options.save_svg is not None and not drawn and picture.share_done >= PICTURE_AT:
                svg.save(picture, options.save_svg)
                drawn = True
            time.sleep(FRAME_S)
            if task.done:
                task.check()
                result = settling.look(time.monotonic())
    if live:
        last = render(watch.picture(), console.width, console.height)
        console.print(last, height=min(console.height - 1, STILL_LINES))
    return result
