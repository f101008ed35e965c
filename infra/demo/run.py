"""`rheostat demo`: the whole loop on real data, from an empty folder to a reconciliation."""

import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from infra.demo import ending, evaluation
from infra.demo.client import post_registry
from infra.demo.session import ORG, REGISTRY, SessionOptions, replay
from infra.demo.stack import LocalStack, StackSpec, port_or_free
from infra.local_kafka import jars
from infra.settings import Settings

NAP_S = 0.5


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the command line asks for. Ports None: the usual one if it is free, else any."""

    data_dir: Path | None = None
    kafka_port: int | None = None
    clickhouse_port: int | None = None
    api_port: int | None = None
    keep: bool = False
    session: SessionOptions = field(default_factory=SessionOptions)


def run(settings: Settings, options: DemoOptions, console: Console) -> int:
    """The exit code: 0 when everything reconciled, 1 when not, 130 after Ctrl-C or SIGTERM.

    Raises OperatorError and the packages' own errors.
    """
    try:
        return 0 if demo(settings, options, console) else 1
    except KeyboardInterrupt:
        console.print("interrupted; nothing is left running", style="yellow")
        return 130


def demo(settings: Settings, options: DemoOptions, console: Console) -> bool:
    """Whether everything reconciled. Raises OperatorError and the packages' own errors.

    KeyboardInterrupt (Ctrl-C or SIGTERM) passes through once everything has been stopped.
    """
    interrupts = Interrupts()
    with _folder(options) as folder:
        stack = LocalStack(_spec(settings, options, folder))
        try:
            running = _start(settings, stack, console)
            outcome = replay(running, options.session, console)
            evaluated = evaluation.evaluate(running, console)
            ending.show(outcome, running, options.keep, console)
            if options.keep:
                _wait_for_ctrl_c()
            return outcome.reconciliation.exact and evaluated
        finally:
            interrupts.disarm()
            console.print("stopping the stack", style="dim")
            stack.stop()


@contextmanager
def _folder(options: DemoOptions) -> Iterator[Path]:
    """The data dir: the given one, which stays, or one that is removed at the end."""
    if options.data_dir is not None:
        yield options.data_dir.absolute()
        return
    folder = Path(tempfile.mkdtemp(prefix="rheostat-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _spec(settings: Settings, options: DemoOptions, folder: Path) -> StackSpec:
    host = settings.host
    return StackSpec(
        folder,
        port_or_free(host, options.kafka_port, settings.kafka_port),
        port_or_free(host, options.clickhouse_port, settings.clickhouse_port),
        port_or_free(host, options.api_port, settings.api_port),
    )


def _start(settings: Settings, stack: LocalStack, console: Console) -> Settings:
    """Everything up to a running stack with the demo's registry."""
    begin = time.monotonic()
    with console.status("") as status:

        def stage(text: str) -> None:
            if console.is_terminal:
                status.update(f"{text} …")
            else:
                console.print(text)

        if settings.kafka_bootstrap is None:
            stage("looking for Kafka's jars (about 50 MB are downloaded the first time)")
            jars()
        stage("starting the stack")
        stack.start()
        running = stack.wait_ready(stage)
        stage("posting the demo's registry to the API")
        applied = post_registry(running, REGISTRY, ORG)
    console.print(
        f"[green]ready[/] in {time.monotonic() - begin:.0f} s: Kafka {running.bootstrap}, "
        f"ClickHouse {ending.without_password(running.clickhouse)}; registry: {applied}",
        highlight=False,
        soft_wrap=True,
    )
    return running


def _wait_for_ctrl_c() -> None:
    with suppress(KeyboardInterrupt):
        while True:
            time.sleep(NAP_S)  # short: a signal that another thread got does not wake this one


class Interrupts:
    """Raises KeyboardInterrupt for the first signal only, so that stopping is not interrupted."""

    def __init__(self) -> None:
        self._armed = True
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def disarm(self) -> None:
        """From now on signals do nothing."""
        self._armed = False

    def _on_signal(self, *_: object) -> None:
        if self._armed:
            self._armed = False
            raise KeyboardInterrupt
