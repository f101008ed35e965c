"""The commands `rheostat registry ...` and `rheostat keys ...`."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from infra import configuration, logs
from infra.tables import whole

registry_app = typer.Typer(help="Models, A/B tests and selection policies.", no_args_is_help=True)
keys_app = typer.Typer(help="API keys: create, list, revoke.", no_args_is_help=True)
console = Console()
err = Console(stderr=True)


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
    for applied in apply_file(
        configuration.read(), path, author, lambda w: err.print(f"warning: {w}")
    ):
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
    sys.stdout.write(export_text(configuration.read(), org, as_json))


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
    made = create(configuration.read(), KeyOptions(org, role, name, user, expires_in))
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
    table = whole(
        Table("key", "organisation", "role", "name", "user", "state", "expires", "last used"),
        *("key", "role", "expires"),
    )
    for row in listed(configuration.read(), org):
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
    revoked = revoke(configuration.read(), key)
    console.print(f"revoked {revoked.key_id} of {revoked.org_id}", highlight=False)
