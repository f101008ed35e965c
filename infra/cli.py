"""The command line. Every command is a thin layer over a function that tests can call."""

import os

# Polars starts its threads on import; our batches are fastest on one, and workers scale out.
os.environ.setdefault("POLARS_MAX_THREADS", "1")

import sys
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from agents.errors import AgentError
from infra import logs
from infra.errors import OperatorError
from infra.settings import Settings
from infra.supervisor import Step
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
registry_app = typer.Typer(help="Models, A/B tests and selection policies.", no_args_is_help=True)
app.add_typer(registry_app, name="registry")
keys_app = typer.Typer(help="API keys: create, list, revoke.", no_args_is_help=True)
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
    given = {name: value for name, value in options.items() if value is not None}
    try:
        return Settings(**given)  # type: ignore[arg-type]  # pydantic checks them
    except ValidationError as error:
        lines = [
            f"RHEOSTAT_{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()
        ]
        raise OperatorError("settings are not usable:\n  " + "\n  ".join(lines)) from error


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

        RHEOSTAT_KAFKA_BOOTSTRAP=broker:9092 rheostat up --without clickhouse
    """
    from infra.stack import StackOptions, build, parse_scale

    settings = settings_with(
        data_dir=data_dir,
        kafka_port=kafka_port,
        clickhouse_port=clickhouse_port,
        api_port=api_port,
    )
    logs.configure(settings.log_level)
    options = StackOptions(tuple(without or ()), parse_scale(scale or ()))
    supervisor, resolved = build(settings, options, _steps)

    def announce() -> None:
        console.print(
            f"[bold green]ready[/]  Kafka {resolved.bootstrap}  ClickHouse "
            f"{resolved.clickhouse.rpartition('@')[2]}  data {resolved.data_dir}  (Ctrl-C stops)"
        )

    supervisor.run(announce)


def _steps(settings: Settings) -> list[Step]:
    """What happens once between the servers and the workers."""

    def topics_step() -> None:
        from infra.topics import ensure

        report = ensure(settings)
        for fault in report.faults:
            err.print(f"[yellow]topic:[/] {fault}", highlight=False)

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
    """Create the topics that are missing and check those that exist. Exit 1 when one is wrong."""
    from infra.topics import ensure

    report = ensure(settings_with(), create=not check)
    for name in report.created:
        console.print(f"[green]created[/] {name}", highlight=False)
    for name in report.present:
        console.print(f"present {name}", highlight=False)
    for fault in report.faults:
        console.print(f"[red]wrong[/]   {fault}", highlight=False)
    if report.faults:
        raise typer.Exit(1)


@app.command()
def migrate() -> None:
    """Apply the ClickHouse migrations that have not been applied yet."""
    from infra.workers import migrate as apply

    applied = apply(settings_with())
    console.print("\n".join(f"[green]applied[/] {name}" for name in applied) or "nothing to apply")


@registry_app.command("apply")
def registry_apply(
    path: Annotated[Path, typer.Argument(metavar="FILE.yaml", help="Models, tests, policies.")],
    author: Annotated[str | None, typer.Option(help="Who is to be named; default: you.")] = None,
) -> None:
    """Check a registry file and send what changed to the registry agent, which must run.

    Everything takes effect or nothing. Applying the same file again changes nothing. Every mistake
    is shown with its line and field, and then nothing is applied.

    Example:

        rheostat registry apply models.yaml
    """
    from infra.registry import apply_file

    logs.configure("ERROR")
    for applied in apply_file(settings_with(), path, author, lambda w: err.print(f"warning: {w}")):
        console.print(f"{applied.outcome:9} v{applied.version} {applied.key}", highlight=False)


@registry_app.command("export")
def registry_export(
    org: Annotated[str | None, typer.Option("--org", help="Of one organisation; else all.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of YAML.")] = False,
) -> None:
    """Print the registry as a file that `rheostat registry apply` takes. API keys are left out.

    Examples:

        rheostat registry export > registry.yaml

        rheostat registry export --org acme --json | jq .models
    """
    from infra.registry import export_text

    logs.configure("ERROR")
    sys.stdout.write(export_text(settings_with(), org, as_json))


@keys_app.command("create")
def keys_create(
    org: Annotated[
        str | None, typer.Option("--org", help="Whose key it is; left out: an operator's.")
    ] = None,
    role: Annotated[
        str | None, typer.Option(help="viewer, editor or admin; default: editor.")
    ] = None,
    name: Annotated[str, typer.Option(help="What it is for.")] = "",
    user: Annotated[str | None, typer.Option(help="The user that it belongs to.")] = None,
    expires_in: Annotated[
        str | None, typer.Option(metavar="90d", help="When it stops to work: 12h, 90d, 4w.")
    ] = None,
) -> None:
    """Make an API key and print it: this once, since only its hash is kept.

    The first key of an installation is an operator's, who may do everything everywhere.

    Examples:

        rheostat keys create --name first

        rheostat keys create --org acme --role admin --name ci --expires-in 90d
    """
    from infra.keys import KeyOptions, create

    logs.configure("ERROR")
    made = create(settings_with(), KeyOptions(org, role, name, user, expires_in))
    key = made.entity
    until = f", until {key.expires_at:%Y-%m-%d %H:%M} UTC" if key.expires_at else ""
    err.print(f"{key.role} key {key.key_id} of {key.org_id}{until}. It is shown only now:")
    sys.stdout.write(made.token + "\n")


@keys_app.command("list")
def keys_list(
    org: Annotated[str | None, typer.Option("--org", help="Of one organisation; else all.")] = None,
) -> None:
    """List API keys, the newest first, without their secrets.

    Examples:

        rheostat keys list

        rheostat keys list --org acme
    """
    from infra.keys import listed

    logs.configure("ERROR")
    table = Table("key", "organisation", "role", "name", "user", "state", "expires", "last used")
    for row in listed(settings_with(), org):
        key = row.key
        table.add_row(
            key.key_id,
            escape(key.org_id),
            key.role,
            escape(key.name),
            escape(key.user_id or ""),
            row.state,
            f"{key.expires_at:%Y-%m-%d}" if key.expires_at else "never",
            f"{row.last_used_at:%Y-%m-%d %H:00}" if row.last_used_at else "never",
        )
    console.print(table)


@keys_app.command("revoke")
def keys_revoke(
    key: Annotated[str, typer.Argument(metavar="KEY", help="The id, as listed.")],
) -> None:
    """Revoke an API key, for good and at once in every process.

    Example:

        rheostat keys revoke k3m5zq7wxyab
    """
    from infra.keys import revoke

    logs.configure("ERROR")
    revoked = revoke(settings_with(), key)
    console.print(f"revoked {revoked.key_id} of {revoked.org_id}", highlight=False)


@app.command()
def version() -> None:
    """Print the version."""
    console.print(installed_version("rheostat"))


if __name__ == "__main__":
    main()
