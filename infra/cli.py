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
from infra.ab_commands import ab_app
from infra.ab_many_commands import register as register_ab_many
from infra.datasets_commands import datasets_app
from infra.errors import OperatorError
from infra.evaluation_commands import register as register_evaluations
from infra.registry_commands import keys_app, registry_app
from infra.settings import Settings
from infra.stats_commands import stats_app
from infra.steps import Step
from infra.suites_commands import suites_app
from infra.traffic_commands import register as register_traffic
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
app.add_typer(stats_app, name="stats")
app.add_typer(suites_app, name="suites")
app.add_typer(datasets_app, name="datasets")
register_ab_many(ab_app)
app.add_typer(ab_app, name="ab")
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
    """Run the whole stack in the foreground: Kafka, ClickHouse, all workers and the API.

    Kafka or ClickHouse is skipped when RHEOSTAT_KAFKA_BOOTSTRAP or RHEOSTAT_CLICKHOUSE_URL names
    one of your own. Ctrl-C stops everything.

    Examples:

        rheostat up

        rheostat up --data-dir /var/lib/rheostat --scale streams=2

        RHEOSTAT_KAFKA_BOOTSTRAP=broker:9092 rheostat up --without clickhouse --without sinks
    """
    from infra.stack import StackOptions, build, exposed, parse_scale

    settings = configuration.read(
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

    api = "" if "api" in options.without else f"API {resolved.local_api}/docs  "

    def announce() -> None:
        console.print(
            f"[bold green]ready[/]  Kafka {resolved.bootstrap}  ClickHouse "
            f"{configuration.hidden(resolved.clickhouse)}  {api}data {resolved.data_dir}  "
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
        str,
        typer.Argument(
            help="streams, sinks, agents, runner or api (or the servers: kafka, clickhouse)"
        ),
    ],
) -> None:
    """Run one worker alone, in this process.

    `streams` counts events, `sinks` store them in ClickHouse, `agents` decide, `runner` executes
    the cases of evaluations, `api` serves the REST API on RHEOSTAT_API_PORT. Start more of one kind
    to share the work: they join the same consumer group. Give each its own RHEOSTAT_WORKER_NAME,
    the same after a restart.

    Example:

        RHEOSTAT_KAFKA_BOOTSTRAP=broker:9092 rheostat worker streams
    """
    from infra.workers import KINDS, run

    if kind not in KINDS:
        raise OperatorError(f"there is no worker named {kind}; there are {', '.join(KINDS)}.")
    run(kind, configuration.read())


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

    report = ensure(configuration.read(), create=not check)
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

    settings = configuration.read()
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
    settings = configuration.read(data_dir=data_dir)
    raise typer.Exit(examined(settings, console, as_json=as_json, again_s=watch_s))


register_traffic(app)
register_evaluations(app)


@app.command()
def version() -> None:
    """Print the version.

    Example:

        rheostat version
    """
    console.print(installed_version("rheostat"))


if __name__ == "__main__":
    main()
