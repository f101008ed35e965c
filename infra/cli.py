"""The command line. Every command is a thin layer over a function that tests can call."""

import os

# Polars starts its threads on import; our batches are fastest on one, and workers scale out.
os.environ.setdefault("POLARS_MAX_THREADS", "1")

import sys
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from agents.errors import AgentError
from infra import configuration, logs
from infra.errors import OperatorError
from infra.registry_commands import keys_app, registry_app
from infra.settings import Settings
from infra.steps import Step
from schemas.errors import ContractError
from sinks.errors import SinkError
from streams.errors import StreamError

app = typer.Typer(
    name="rheostat",
    help="Turns AI model traffic into measured decisions about which model serves what.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.add_typer(registry_app, name="registry")
app.add_typer(keys_app, name="keys")
console = Console()
err = Console(stderr=True)

EXPECTED = (OperatorError, ContractError, StreamError, SinkError, AgentError)
"""What can go wrong without a bug; each says what happened, why, and what to do."""

DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Where the stack keeps its data.")]


def main() -> None:
    """Maps our errors to one message and an exit code; everything else is a bug and shows."""
    try:
        app()
    except EXPECTED as error:
        err.print("[bold red]error:[/]", end=" ")
        err.print(str(error), highlight=False, markup=False, soft_wrap=True)
        sys.exit(1)


def settings_with(**options: object) -> Settings:
    """Settings with the command line's options over them. Raises OperatorError."""
    return configuration.read(**options)


@app.command()
def up(
    data_dir: DataDir = None,
    kafka_port: Annotated[int | None, typer.Option(help="Port of the local broker.")] = None,
    clickhouse_port: Annotated[int | None, typer.Option(help="Port of local ClickHouse.")] = None,
    api_port: Annotated[int | None, typer.Option(help="Port of the REST API.")] = None,
    without: Annotated[
        list[str] | None, typer.Option("--without", metavar="NAME", help="Leave a part out.")
    ] = None,
    scale: Annotated[
        list[str] | None, typer.Option("--scale", metavar="NAME=N", help="Run several of one.")
    ] = None,
) -> None:
    """Run the whole stack in the foreground: Kafka, ClickHouse, streams, sinks, agents.

    Kafka or ClickHouse is skipped when RHEOSTAT_KAFKA_BOOTSTRAP or RHEOSTAT_CLICKHOUSE_URL names
    one of your own. Ctrl-C stops everything.

    Examples:

        rheostat up

        rheostat up --data-dir /var/lib/rheostat --scale streams=2

        RHEOSTAT_KAFKA_BOOTSTRAP=broker:9092 rheostat up --without clickhouse --without sinks
    """
    from infra.stack import StackOptions, build, exposed, parse_scale

    settings = settings_with(
        data_dir=data_dir,
        kafka_port=kafka_port,
        clickhouse_port=clickhouse_port,
        api_port=api_port,
    )
    logs.configure(settings.log_level)
    options = StackOptions(tuple(without or ()), parse_scale(scale or ()))
    supervisor, resolved = build(settings, options, _steps)
    for warning in (exposed(settings, options), *configuration.unknown_variables()):
        if warning is not None:
            err.print(f"[yellow]warning:[/] {warning}", highlight=False, soft_wrap=True)

    def announce() -> None:
        console.print(
            f"[bold green]ready[/]  Kafka {resolved.bootstrap}  ClickHouse "
            f"{configuration.hidden(resolved.clickhouse)}  data {resolved.data_dir}  "
            "(Ctrl-C stops)",
            soft_wrap=True,
        )

    supervisor.run(announce)


def _steps(settings: Settings) -> list[Step]:
    """What happens once between the servers and the workers."""

    def topics_step() -> None:
        from infra.topics import ensure

        report = ensure(settings)
        for fault in report.faults:
            err.print("[yellow]topic:[/]", end=" ")
            err.print(str(fault), highlight=False, markup=False, soft_wrap=True)

    def migrate_step() -> None:
        from infra.workers import migrate

        migrate(settings)

    return [
        Step("topics", ("kafka",), topics_step),
        Step("migrate", ("clickhouse",), migrate_step),
    ]


@app.command()
def worker(
    kind: Annotated[
        str, typer.Argument(help="streams, sinks or agents (or the servers: kafka, clickhouse)")
    ],
) -> None:
    """Run one worker alone, in this process.

    `streams` counts events, `sinks` store them in ClickHouse, `agents` decide. Start more of one
    kind to share the work: they join the same consumer group. Give each its own
    RHEOSTAT_WORKER_NAME, the same after a restart.

    Example:

        RHEOSTAT_KAFKA_BOOTSTRAP=broker:9092 rheostat worker streams
    """
    from infra.workers import KINDS, run

    if kind not in KINDS:
        raise OperatorError(f"there is no worker named {kind}; there are {', '.join(KINDS)}.")
    run(kind, settings_with())


@app.command()
def topics(
    check: Annotated[bool, typer.Option("--check", help="Only check; create nothing.")] = False,
) -> None:
    """Create the topics that are missing and check those that exist. Exit 1 when one is wrong.

    Examples:

        rheostat topics

        RHEOSTAT_KAFKA_BOOTSTRAP=broker:9092 rheostat topics --check
    """
    from infra.topics import ensure

    report = ensure(settings_with(), create=not check)
    for name in report.created:
        console.print(f"[green]created[/] {name}", highlight=False)
    for name in report.present:
        console.print(f"present {name}", highlight=False)
    for fault in report.faults:
        console.print("[red]wrong[/]  ", end=" ")
        console.print(str(fault), highlight=False, markup=False, soft_wrap=True)
    if report.faults:
        raise typer.Exit(1)


@app.command()
def migrate() -> None:
    """Apply the ClickHouse migrations that have not been applied yet.

    Every migration is applied once; an interrupted one is repeated. Start it again at any time.

    Example:

        RHEOSTAT_CLICKHOUSE_URL=http://user:password@clickhouse:8123 rheostat migrate
    """
    from infra.workers import migrate as apply

    settings = settings_with()
    logs.configure("WARNING")
    applied = apply(settings)
    console.print("\n".join(f"[green]applied[/] {name}" for name in applied) or "nothing to apply")


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="JSON, for programs.")] = False,
    watch_s: Annotated[
        float | None,
        typer.Option(
            "--watch",
            metavar="SECONDS",
            min=1,
            help="Again and again, until Ctrl-C.",
        ),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Say what is reachable, lagging or misconfigured, and what to do. Exit 0 only when healthy.

    Asks Kafka, its topics, consumer groups and transactions, ClickHouse and its tables, the
    processes of this data dir, the registry, disks and clocks. Changes nothing.

    Examples:

        rheostat doctor

        rheostat doctor --json | jq '.findings[] | select(.level == "problem")'

        RHEOSTAT_KAFKA_BOOTSTRAP=broker:9092 rheostat doctor --watch 10
    """
    from infra.doctor.checks import examined

    logs.configure("CRITICAL")
    settings = settings_with(data_dir=data_dir)
    raise typer.Exit(examined(settings, console, as_json=as_json, again_s=watch_s))


@app.command()
def demo(
    data_dir: DataDir = None,
    kafka_port: Annotated[int | None, typer.Option(help="Port of the demo's broker.")] = None,
    clickhouse_port: Annotated[int | None, typer.Option(help="Port of its ClickHouse.")] = None,
    api_port: Annotated[int | None, typer.Option(help="Port of its REST API.")] = None,
    speed: Annotated[float, typer.Option(min=0.1, help="Trace seconds per second.")] = 60.0,
    requests: Annotated[
        int | None, typer.Option(min=1, help="Only so many requests of the trace.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Which question goes with which request.")] = 1,
    live: Annotated[bool, typer.Option(help="A live view, or plain lines.")] = True,
    keep: Annotated[bool, typer.Option(help="Leave the stack running until Ctrl-C.")] = False,
    save_svg: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the view near the end into a file.")
    ] = None,
) -> None:
    """Run the whole loop on real data, and show it live.

    Starts a stack of its own (on free ports, in a folder that is removed afterwards unless you name
    one), replays an hour of production requests in a minute: part of them in an A/B test of two
    models, the others served by the model that the selection names. Then it compares what was
    produced with what was counted, stored and dead-lettered. Exit 1 when a single record differs.

    Examples:

        rheostat demo

        rheostat demo --speed 600 --no-live

        rheostat demo --keep --data-dir demo-data
    """
    from infra.demo.run import DemoOptions, run
    from infra.demo.session import SessionOptions

    session = SessionOptions(speed, requests, seed, live, save_svg)
    options = DemoOptions(data_dir, kafka_port, clickhouse_port, api_port, keep, session)
    raise typer.Exit(run(settings_with(), options, console))


@app.command()
def produce(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="JSON lines or CSV.")],
    maps: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="FIELD=COLUMN", help="Where a field comes from; *N scales."),
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="The same value in every event."),
    ] = None,
    topic: Annotated[
        str, typer.Option(help="inference-events or feedback-events.")
    ] = "inference-events",
    format: Annotated[str, typer.Option(help="auto, jsonl or csv.")] = "auto",
    delimiter: Annotated[str | None, typer.Option(help="Of CSV; default: comma.")] = None,
    time_format: Annotated[
        str, typer.Option(help="auto, iso, s, ms, us, ns or a strptime pattern.")
    ] = "auto",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, show some events, send nothing.")
    ] = False,
    show: Annotated[int, typer.Option(min=0, help="How many events a dry run shows.")] = 3,
    rate: Annotated[
        float | None, typer.Option(min=0.001, help="Events a second; default: as fast as it goes.")
    ] = None,
    on_error: Annotated[
        str, typer.Option(help="stop: send nothing when a line is bad; skip: send the others.")
    ] = "stop",
    rejects: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write every problem there, as JSON lines.")
    ] = None,
) -> None:
    """Send your own calls, or feedback on them, from a file.

    A field comes from the column that `--map` names, else from `--set`, else from the column of its
    own name, else from its default: event_id is made from the line, unit_id is the event_id,
    occurred_at is now, cached_input_tokens 0. Dots lead into nested JSON. Every line is checked as
    the pipeline will check it before the first is sent.

    Examples:

        rheostat produce calls.jsonl --set org_id=acme --map model_id=model --dry-run

        rheostat produce calls.csv --map latency_ms=seconds*1000 --map occurred_at=time

        rheostat produce thumbs.csv --topic feedback-events --set metric=thumbs_up
    """
    from infra.produce.run import ProduceOptions, run

    if on_error not in ("stop", "skip"):
        raise OperatorError(f"--on-error {on_error} is neither stop nor skip.")
    options = ProduceOptions(
        path=path,
        topic=topic,
        format=format,
        delimiter=delimiter,
        maps=maps or (),
        sets=sets or (),
        time_format=time_format,
        dry_run=dry_run,
        show=show,
        rate_per_s=rate,
        skip=on_error == "skip",
        rejects=rejects,
    )
    raise typer.Exit(run(settings_with(), options, console, err))


@app.command()
def version() -> None:
    """Print the version.

    Example:

        rheostat version
    """
    console.print(installed_version("rheostat"))


if __name__ == "__main__":
    main()
