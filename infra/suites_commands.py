"""The commands `rheostat suites ...`."""

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from infra import configuration, logs
from infra.differences import differences
from infra.tables import whole
from schemas.suites import Dataset, Suite

suites_app = typer.Typer(
    help="Benchmark suites: what models are asked, and how answers are scored.",
    no_args_is_help=True,
)
console = Console()
err = Console(stderr=True)
Org = Annotated[
    str | None, typer.Option("--org", help="The organisation; may be left out if there is one.")
]
AllVersions = Annotated[bool, typer.Option("--all", help="Every version.")]
EveryVersion = Annotated[bool, typer.Option("--all", help="Every version of the name.")]
Author = Annotated[str | None, typer.Option(help="Who is to be named; default: you.")]
Search = Annotated[
    str | None, typer.Option(help="Only where this is in the name, tags or description.")
]


@suites_app.command("load")
def suites_load(
    org: Org = None,
    author: Author = None,
) -> None:
    """Install the standard suites with their datasets for an organisation. Loading again changes
    nothing. The registry agent must run.

    text-generation, code-generation, humaneval, question-answering, summarisation, classification.

    Example:

        rheostat suites load --org acme
    """
    from agents.evaluation.suites.load import Done
    from infra.suites import load

    logs.configure("ERROR")

    def say(done: object) -> None:
        assert isinstance(done, Done)
        note = f"  ({done.note})" if done.note else ""
        line = f"{done.outcome:9} {done.kind:7} {done.name} {done.version}{note}"
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    load(configuration.read(), org, author, say)


@suites_app.command("list")
def suites_list(
    org: Org = None,
    all_versions: AllVersions = False,
    search: Search = None,
) -> None:
    """List suites, the newest version of each.

    Examples:

        rheostat suites list

        rheostat suites list --org acme --all --search code
    """
    from agents.evaluation.lookup import newest, versions
    from infra.suites import org_of, registry

    logs.configure("ERROR")
    with registry(configuration.read()) as found:
        org_id = org_of(found, org)
        suites = list((versions if all_versions else newest)(found, Suite, org_id))
    table = Table("suite", "version", "capability", "dataset", "scorers", "description")
    whole(table, "suite", "capability")
    for suite in suites:
        if search is None or holds(suite, suite.suite_id, search):
            table.add_row(
                escape(suite.suite_id),
                escape(suite.suite_version),
                escape(suite.capability),
                escape(f"{suite.dataset_id}@{suite.dataset_version}"),
                escape(", ".join(use.scorer for use in suite.scorers)),
                escape(suite.description),
            )
    if table.row_count:
        console.print(table)
    else:
        err.print(f"{org_id} has no such suite; rheostat suites load installs the standard ones.")


@suites_app.command("show")
def suites_show(
    suite: Annotated[str, typer.Argument(metavar="SUITE", help="NAME or NAME@VERSION.")],
    org: Org = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of YAML.")] = False,
) -> None:
    """Print a suite as a file that `rheostat registry apply` takes: change the version and what you
    like, and apply it.

    Examples:

        rheostat suites show classification > mine.yaml

        rheostat suites show classification@1 --json
    """
    from agents.evaluation.lookup import find
    from agents.registry.export import plain, to_json, to_yaml
    from infra.suites import org_of, registry

    logs.configure("ERROR")
    with registry(configuration.read()) as found:
        document = {"suites": [plain(find(found, Suite, org_of(found, org), suite))]}
    print_plain(to_json(document) if as_json else to_yaml(document))


@suites_app.command("diff")
def suites_diff(
    before: Annotated[str, typer.Argument(metavar="SUITE", help="NAME or NAME@VERSION.")],
    after: Annotated[str, typer.Argument(metavar="SUITE", help="NAME or NAME@VERSION.")],
    org: Org = None,
) -> None:
    """Show every field in which two suites, or two versions of one, differ.

    Example:

        rheostat suites diff mine@1 mine@2
    """
    from agents.evaluation.lookup import find
    from agents.registry.diff import diff
    from infra.suites import org_of, registry

    logs.configure("ERROR")
    with registry(configuration.read()) as found:
        org_id = org_of(found, org)
        pair = [find(found, Suite, org_id, name) for name in (before, after)]
    console.print(differences(diff(*pair)))


@suites_app.command("delete")
def suites_delete(
    suite: Annotated[str, typer.Argument(metavar="SUITE", help="NAME or NAME@VERSION.")],
    org: Org = None,
    every: EveryVersion = False,
    author: Author = None,
) -> None:
    """Delete a suite: one version, or with --all every version of a name. Results stay.

    Refused while an evaluation that is not over asks it, or an A/B test runs on it. Its name and
    version can only come back with what they meant.

    Examples:

        rheostat suites delete mine@1

        rheostat suites delete mine --all
    """
    from infra.suites import delete

    logs.configure("ERROR")
    for gone in delete(configuration.read(), Suite, org, suite, every, author):
        console.print(f"deleted {gone.suite_id} {gone.suite_version}", highlight=False)


@suites_app.command("preview")
def suites_preview(
    suite: Annotated[str, typer.Argument(metavar="SUITE", help="NAME or NAME@VERSION.")],
    org: Org = None,
    cases: Annotated[int, typer.Option(min=1, max=1000, help="How many cases.")] = 1,
    case: Annotated[str | None, typer.Option(help="This case.")] = None,
    fields: Annotated[bool, typer.Option("--fields", help="Also all fields of the case.")] = False,
) -> None:
    """Show what models would be sent for some cases. Calls no model.

    Examples:

        rheostat suites preview question-answering

        rheostat suites preview question-answering --case comet-4 --fields
    """
    from infra.suites import preview

    logs.configure("ERROR")
    _, shown = preview(configuration.read(), org, suite, cases, case)
    for each in shown:
        console.rule(escape(each.case_id), align="left")
        for message in each.messages:
            console.print(f"[bold]{message.role}[/]")
            console.print(message.content, highlight=False, markup=False, soft_wrap=True)
            console.print()
        if fields:
            console.print(each.fields, highlight=False, markup=False, soft_wrap=True)


def holds(entity: Suite | Dataset, name: str, search: str) -> bool:
    """Whether its name, tags or description hold the words."""
    return search.casefold() in " ".join((name, *entity.tags, entity.description)).casefold()


def print_plain(text: str) -> None:
    """As it is, for files and pipes."""
    import sys

    sys.stdout.write(text)
