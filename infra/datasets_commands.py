"""The commands `rheostat datasets ...`."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, TextColumn
from rich.table import Table

from infra import configuration, logs
from infra.errors import OperatorError
from infra.suites_commands import (
    AllVersions,
    Author,
    EveryVersion,
    Org,
    Search,
    holds,
)
from infra.tables import whole

datasets_app = typer.Typer(
    help="Datasets: the cases that suites ask. A version never changes.", no_args_is_help=True
)
console = Console()
err = Console(stderr=True)
Reference = Annotated[str, typer.Argument(metavar="DATASET", help="NAME or NAME@VERSION.")]
FAULTS_SHOWN = 20


@datasets_app.command("import")
def datasets_import(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="JSONL, CSV, TSV or Parquet.")],
    name: Annotated[
        str | None, typer.Option("--name", help="Of the dataset; default: the file's.")
    ] = None,
    version: Annotated[str, typer.Option("--dataset-version", help="Of the dataset.")] = "1",
    org: Org = None,
    maps: Annotated[
        list[str] | None,
        typer.Option("--mapping", metavar="FIELD=COLUMN", help="Where a field comes from."),
    ] = None,
    format: Annotated[str, typer.Option(help="auto, jsonl, csv, tsv or parquet.")] = "auto",
    split: Annotated[str, typer.Option(help="The split of rows that name none.")] = "",
    source: Annotated[str, typer.Option(help="Where the cases come from.")] = "",
    licence: Annotated[str, typer.Option(help="Under which they may be used.")] = "",
    description: Annotated[str, typer.Option(help="What they are.")] = "",
    tags: Annotated[list[str] | None, typer.Option("--tag", help="Of the dataset.")] = None,
    skip_invalid: Annotated[
        bool, typer.Option("--skip-invalid", help="Import the rows that are no fault.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Publish the cases even if the version exists.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check the file.")] = False,
    report: Annotated[
        Path | None, typer.Option(metavar="OUT", help="Write every fault there, as JSON lines.")
    ] = None,
    author: Author = None,
) -> None:
    """Import a dataset from a file. Nothing is imported while a row is at fault.

    A case takes case_id (or id), split, tags (a list, or a;b) and cluster from the columns of these
    names; with --mapping the fields are those that you name, else all columns that are left. Dots
    lead into objects of JSON. Importing the same cases again changes nothing.

    Examples:

        rheostat datasets import questions.jsonl --dry-run

        rheostat datasets import q.csv --mapping question=prompt --mapping answer=gold --split test

        rheostat datasets import cases.parquet --name cases --dataset-version 2 --skip-invalid
    """
    from infra.datasets import ImportOptions, create, read_file
    from schemas.suites import Dataset

    logs.configure("ERROR")
    draft = Dataset(
        "",
        name or path.stem,
        version,
        "0" * 64,
        1,
        (),
        tags=tuple(tags or ()),
        source=source,
        licence=licence,
        description=description,
    )
    options = ImportOptions(
        path, draft, org, maps or (), format, split, skip_invalid, again, dry_run, author
    )
    with _progress("rows read") as tell:
        found = read_file(options, tell)
    if report is not None:
        _write_report(report, [(f.row, f.field, f.reason) for f in found.faults])
    _show_faults(found.faults, found.faults_total)
    if found.faulty and not (skip_invalid or dry_run):
        raise OperatorError(
            f"{found.faulty:,} of {found.rows:,} rows are at fault; nothing was imported. Correct "
            "them, or import the others with --skip-invalid."
        )
    if not found.cases:
        raise OperatorError(f"{path} holds no case.")
    if dry_run:
        console.print(
            f"{len(found.cases):,} cases, {found.faulty:,} rows at fault", highlight=False
        )
        _show_first(found.cases[0].fields)
        raise typer.Exit(1 if found.faulty else 0)
    with _progress("cases sent") as tell:
        created = create(configuration.read(), options, found.cases, tell)
    dataset = created.dataset
    skipped = f", {found.faulty:,} rows skipped" if found.faulty else ""
    console.print(
        f"{created.outcome} {dataset.dataset_id} {dataset.dataset_version}: {dataset.cases:,} cases"
        f"{skipped}; fields: {', '.join(dataset.fields)}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


@datasets_app.command("export")
def datasets_export(
    dataset: Reference,
    org: Org = None,
    split: Annotated[str | None, typer.Option(help="Only this split.")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Default: the standard output.")
    ] = None,
) -> None:
    """Write the cases of a dataset as JSON lines, in the form that import takes without a mapping.

    Examples:

        rheostat datasets export classification > cases.jsonl

        rheostat datasets export classification@1 --split test --out cases.jsonl
    """
    from infra.datasets import write_export

    logs.configure("ERROR")
    settings = configuration.read()
    if out is None:
        write_export(settings, org, dataset, split, sys.stdout)
        return
    # Half an export under the name of a whole one would be a trap.
    part = out.with_name(out.name + ".part")
    try:
        with part.open("w", encoding="utf-8") as file:
            count = write_export(settings, org, dataset, split, file)
        part.replace(out)
    except OSError as error:
        raise OperatorError(f"{out} cannot be written: {error.strerror}.") from error
    finally:
        part.unlink(missing_ok=True)
    err.print(f"{count:,} cases written to {out}", highlight=False)


@datasets_app.command("list")
def datasets_list(
    org: Org = None,
    all_versions: AllVersions = False,
    search: Search = None,
) -> None:
    """List datasets, the newest version of each.

    Examples:

        rheostat datasets list

        rheostat datasets list --org acme --all --search code
    """
    from agents.evaluation.lookup import newest, versions
    from infra.suites import org_of, registry
    from schemas.suites import Dataset

    logs.configure("ERROR")
    with registry(configuration.read()) as found:
        org_id = org_of(found, org)
        known = list((versions if all_versions else newest)(found, Dataset, org_id))
    there = [d for d in known if search is None or holds(d, d.dataset_id, search)]
    if not there:
        err.print(f"{org_id} has no such dataset; rheostat datasets import brings one.")
        return
    table = Table("dataset", "version", "cases", "splits", "fields", "licence", "hash")
    whole(table, "dataset")
    for dataset in there:
        splits = ", ".join(f"{s.split} {s.cases:,}" for s in dataset.splits)
        table.add_row(
            escape(dataset.dataset_id),
            escape(dataset.dataset_version),
            f"{dataset.cases:,}",
            escape(splits),
            escape(", ".join(dataset.fields)),
            escape(dataset.licence),
            dataset.content_sha256[:12],
        )
    console.print(table)


@datasets_app.command("show")
def datasets_show(
    dataset: Reference,
    org: Org = None,
    cases: Annotated[int, typer.Option(min=0, max=1000, help="How many cases to print.")] = 2,
) -> None:
    """Print what is known of a dataset, and its first cases.

    Example:

        rheostat datasets show classification --cases 5
    """
    from itertools import islice

    from agents.evaluation.lookup import find
    from agents.registry.export import plain, to_yaml
    from infra.datasets import cases_of
    from infra.suites import org_of, registry
    from schemas.suites import Dataset

    logs.configure("ERROR")
    settings = configuration.read()
    with registry(settings) as found:
        known = find(found, Dataset, org_of(found, org), dataset)
    sys.stdout.write(to_yaml({"dataset": [plain(known)]}))
    for case in islice(cases_of(settings, org, dataset), cases):
        console.rule(escape(case.case_id), align="left")
        _show_first(case.fields)


@datasets_app.command("diff")
def datasets_diff(before: Reference, after: Reference, org: Org = None) -> None:
    """Show in what two datasets, or two versions of one, differ: fields, and cases by their ids.

    Example:

        rheostat datasets diff mine@1 mine@2
    """
    from infra.datasets import compared
    from infra.differences import differences

    logs.configure("ERROR")
    fields, cases = compared(configuration.read(), org, before, after)
    console.print(differences(fields))
    if cases is None:
        console.print("the same cases")
        return
    for what in ("added", "removed", "changed"):
        ids = getattr(cases, what)
        shown = ", ".join(ids[:20]) + (", …" if len(ids) > 20 else "")
        console.print(f"{len(ids):,} {what}: {shown}", markup=False, highlight=False)
    console.print(f"{cases.same:,} the same{', in another order' if cases.moved else ''}")


@datasets_app.command("delete")
def datasets_delete(
    dataset: Reference, org: Org = None, every: EveryVersion = False, author: Author = None
) -> None:
    """Delete a dataset: one version, or with --all every version of a name. Results stay.

    Refused while a suite asks its cases. The version can only come back with the same cases.

    Examples:

        rheostat datasets delete mine@1

        rheostat datasets delete mine --all
    """
    from infra.suites import delete
    from schemas.suites import Dataset

    logs.configure("ERROR")
    for gone in delete(configuration.read(), Dataset, org, dataset, every, author):
        console.print(f"deleted {gone.dataset_id} {gone.dataset_version}", highlight=False)


def _show_first(fields: str) -> None:
    shown = json.dumps(json.loads(fields), ensure_ascii=False, indent=2)
    console.print(shown, markup=False, highlight=False, soft_wrap=True)


def _show_faults(faults: object, total: int) -> None:
    assert isinstance(faults, list | tuple)
    for fault in faults[:FAULTS_SHOWN]:
        err.print(str(fault), markup=False, highlight=False, soft_wrap=True)
    if total > FAULTS_SHOWN:
        err.print(f"… and {total - FAULTS_SHOWN:,} more; see them all with --report", markup=False)


def _write_report(path: Path, faults: list[tuple[int, str, str]]) -> None:
    names = ("row", "field", "reason")
    lines = [json.dumps(dict(zip(names, f, strict=True)), ensure_ascii=False) for f in faults]
    try:
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    except OSError as error:
        raise OperatorError(f"{path} cannot be written: {error.strerror}.") from error


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int], None]]:
    """A count that grows, on a terminal."""
    columns = TextColumn("{task.completed:,.0f} " + what)
    with Progress(columns, console=err, transient=True, disable=not err.is_terminal) as shown:
        task = shown.add_task(what, total=None)
        yield lambda count: shown.update(task, completed=count)
