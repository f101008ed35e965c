"""The commands `rheostat evaluate`, `rheostat results` and `rheostat runs`."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from infra import configuration, logs
from infra.errors import OperatorError

console = Console()
JUDGE = "llm_judge"
INTERRUPTED = 130

Org = Annotated[str | None, typer.Option("--org", help="Whose; needed when several have it.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON, for programs.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    for command in (evaluate, results, runs):
        app.command()(command)


def evaluate(
    suite: Annotated[str, typer.Argument(metavar="SUITE", help="Its name, or name@version.")],
    model: Annotated[
        list[str], typer.Option("--model", help="A model's name, or name@version. Repeat it.")
    ],
    threshold: Annotated[
        float | None, typer.Option(help="What every model must reach, else exit code 2.")
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(help="What --threshold is of: score (unless named), pass_rate, a metric."),
    ] = None,
    budget: Annotated[
        float | None, typer.Option(metavar="USD", min=0, help="Stops before it is exceeded.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, max=1000, help="How often each case is asked.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Only cases of this split.")] = None,
    cases: Annotated[int | None, typer.Option(min=1, help="Only the first so many cases.")] = None,
    priority: Annotated[
        int, typer.Option(min=0, max=9, help="Of your runs 9 hands over its cases first.")
    ] = 5,
    cache: Annotated[bool, typer.Option(help="Take answers that were paid for before.")] = True,
    rescore: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Score this run's answers again; call nobody."),
    ] = None,
    request_id: Annotated[
        str | None, typer.Option(help="Starting again under the same id starts nothing new.")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Print the run's id and leave.")] = False,
    org: Org = None,
    as_json: AsJson = False,
) -> None:
    """Run a suite on models, show how it goes, and end in a table.

    Needs a running stack. Exit codes: 0 when the run completed and every model reaches the
    threshold, 2 when one does not, 1 when the run failed or was cancelled. Ctrl-C cancels the run,
    which keeps what is finished; a second Ctrl-C leaves at once.

    Examples:

        rheostat evaluate qa --model small --model big

        rheostat evaluate qa --model small@2 --threshold 0.8 --metric pass_rate --json

        rheostat evaluate code --model big --epochs 5 --budget 2.50
    """
    from agents.evaluation.plain import plain_run
    from infra import evaluation_session as session
    from infra.evaluation_gate import gate
    from infra.evaluations import Asked, opened

    logs.configure("ERROR")
    held = gate(threshold, metric, detach)
    if request_id == "":
        raise OperatorError("--request-id is empty, so that every start would be a new run.")
    asked = Asked(
        suite=suite,
        models=model,
        org_id=org,
        epochs=epochs,
        split=split,
        cases_max=cases,
        priority=priority,
        budget_usd=budget,
        use_cache=cache,
        rescore_of=rescore,
        request_id=request_id,
        gate=held,
    )
    with opened(configuration.read()) as desk:
        if rescore is not None:
            asked = replace(asked, rescore_of=desk.run(rescore).run_id)
        run = desk.begin(asked)
        if detach:
            if as_json:
                session.print_json(plain_run(run))
            else:
                sys.stdout.write(run.run_id + "\n")
            return
        run, interrupted = session.watched(desk, run, quiet=as_json)
        report = desk.report(run)
        session.show(report, as_json)
    if interrupted:
        raise typer.Exit(INTERRUPTED)
    raise typer.Exit(session.verdict(report, held))


def results(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Its id, or how the id begins.")],
    cases: Annotated[
        str | None,
        typer.Option(help="Show answers too, in this order: case, worst, slowest or dearest."),
    ] = None,
    case: Annotated[str | None, typer.Option(help="Show every answer to this case.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many answers.")] = 20,
    labels: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="People's labels, to hold the scores against."),
    ] = None,
    metric: Annotated[str, typer.Option(help="Which scores the labels are for.")] = JUDGE,
    as_json: AsJson = False,
) -> None:
    """Show what a run found out: means with intervals, latencies, cost, errors, models compared.

    With --labels only this: how far a judge's scores agree with people's labels of some answers,
    and the mean that people would give to all. The file (JSONL, CSV, TSV, Parquet) has case_id and
    value, on the metric's own scale (a judge's is from 0 to 1), and may have model_id and epoch.

    Examples:

        rheostat results 3f6c

        rheostat results 3f6c --cases worst --limit 5

        rheostat results 3f6c --json | jq .models

        rheostat results 3f6c --labels people.csv --metric llm_judge
    """
    from infra import evaluation_session as session
    from infra.evaluation_show import show_cases
    from infra.evaluations import answers, opened

    logs.configure("ERROR")
    if labels is not None:
        _labelled(run, labels, metric, as_json)
        return
    with opened(configuration.read()) as desk:
        found = desk.run(run)
        shown = answers(desk, found, cases, case, limit) if cases or case else None
        if shown is None or not as_json:
            session.show(desk.report(found), as_json)
    if shown is not None:
        session.print_json(shown) if as_json else show_cases(shown, console)


def _labelled(run: str, labels: Path, metric: str, as_json: bool) -> None:
    from infra import evaluation_session as session
    from infra.evaluations import opened
    from infra.labels import held, read, table

    given = read(labels)
    with opened(configuration.read()) as desk:
        found = held(desk.settings, desk.run(run), given, metric)
    session.print_json(found) if as_json else console.print(table(found))


def runs(
    org: Annotated[str | None, typer.Option("--org", help="Of one organisation; else all.")] = None,
    as_json: AsJson = False,
) -> None:
    """List evaluation runs, the newest first.

    Examples:

        rheostat runs

        rheostat runs --org acme --json | jq '.[] | select(.state == "running")'
    """
    from agents.evaluation.plain import plain_run
    from infra import evaluation_session as session
    from infra.evaluation_show import runs_table
    from infra.evaluations import opened

    logs.configure("ERROR")
    with opened(configuration.read()) as desk:
        found = [r for r in desk.all() if org in (None, r.org_id)]
    if as_json:
        session.print_json([plain_run(run) for run in found])
    elif found:
        console.print(runs_table(found))
    else:
        who = "there is no run" if org is None else f"{org} has no run"
        session.err.print(f"{who}; rheostat evaluate starts one.", highlight=False, markup=False)
