"""The commands `rheostat stats ...`: is a method right on my data, how long will a test take?"""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from infra import configuration, logs
from infra.errors import OperatorError

stats_app = typer.Typer(help="Statistics: calibration and planning.", no_args_is_help=True)
console = Console()
err = Console(stderr=True)

Alpha = Annotated[float, typer.Option(min=1e-6, max=0.5, help="Of false findings allowed.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON, for programs.")]


@stats_app.command("calibrate")
def stats_calibrate(
    path: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="CSV or Parquet with a column of values.")
    ] = None,
    value: Annotated[str, typer.Option(help="The column of values.")] = "value",
    unit: Annotated[
        str | None, typer.Option(help="The column of units; their values are averaged.")
    ] = None,
    org: Annotated[str | None, typer.Option(help="Instead of a file: the organisation.")] = None,
    test: Annotated[str | None, typer.Option(help="Its A/B test, in ClickHouse.")] = None,
    metric: Annotated[str, typer.Option(help="The metric of that test.")] = "quality",
    arm: Annotated[str | None, typer.Option(help="Its arm; default: the largest.")] = None,
    effect: Annotated[
        str | None,
        typer.Option(help="Difference to find: 0.02, or 5%; default: what anytime finds in 80 %."),
    ] = None,
    tests: Annotated[int, typer.Option(min=200, help="Random splits of each kind.")] = 1000,
    looks: Annotated[int, typer.Option(min=1, max=200, help="Looks at each of them.")] = 20,
    ratio: Annotated[
        float, typer.Option(min=0.05, max=20, help="Baseline units for each unit of the arm.")
    ] = 1.0,
    alpha: Alpha = 0.05,
    seed: Annotated[int, typer.Option(help="Of the random splits.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Split your own units at random, again and again, and count how often a method is wrong.

    There is no difference between random halves, so every finding is false. Then the same with a
    difference put in: how often is it found, and how soon? Exit 1 when a method that promises
    alpha is shown to break it on your values.

    Examples:

        rheostat stats calibrate quality.parquet --unit user_id --value quality

        rheostat stats calibrate --org acme --test prompt-7 --metric cost_usd --effect 5%

        rheostat stats calibrate latencies.csv --value ms --ratio 9 --json
    """
    from infra.calibrate import Options, calibrate, from_clickhouse, from_file
    from infra.calibrate import as_json as fields
    from sinks.ab_units import AbUnits
    from sinks.clickhouse import ClickHouse

    logs.configure("ERROR")
    if path is not None:
        values = from_file(path, value, unit)
    elif org and test:
        clickhouse = ClickHouse(configuration.read().clickhouse)
        try:
            values = from_clickhouse(AbUnits(clickhouse), org, test, metric, arm)
        finally:
            clickhouse.close()
    else:
        raise OperatorError("name a FILE, or --org and --test of an A/B test in ClickHouse.")
    options = Options(tests, looks, alpha, ratio, effect, seed)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("splitting", total=2 * tests)
        report = calibrate(values, options, lambda done: bar.advance(task, done))
    if as_json:
        sys.stdout.write(json.dumps(fields(report), indent=1) + "\n")
        raise typer.Exit(0 if report.sound else 1)
    n1, n0 = report.per_arm
    console.print(
        f"{report.units:,} units, mean {report.mean:.6g}, standard deviation "
        f"{report.deviation:.6g}; {tests:,} splits into {n1:,} and {n0:,}, {looks} looks; "
        f"effect {report.effect:.4g} ({report.effect / report.mean:+.2%})"
        if report.mean
        else f"{report.units:,} units, mean 0; effect {report.effect:.4g}",
        highlight=False,
    )
    table = Table("method", "false positives", f"promised at most {alpha:.1%}", "power", "used")
    for row in report.rows:
        word = "[green]holds[/]" if row.holds else "[red]broken[/]"
        table.add_row(
            row.method,
            f"{row.false_positives:.2%}",
            word if row.promised else "no promise: do not stop by it",
            f"{row.power:.1%}",
            f"{row.used:.0%}",
        )
    console.print(table)
    console.print(
        f"A sound method exceeds {report.bound:.2%} in one of a thousand calibrations. 'used' is "
        "the share of the units until the effect was found, on average.",
        highlight=False,
    )
    raise typer.Exit(0 if report.sound else 1)


@stats_app.command("plan")
def stats_plan(
    difference: Annotated[float, typer.Option(min=1e-12, help="The smallest that matters.")],
    deviation: Annotated[
        float | None, typer.Option(min=1e-12, help="Standard deviation of single values.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(min=1e-9, max=1.0, help="Instead, for a rate: the present one.")
    ] = None,
    per_day: Annotated[float, typer.Option(min=0, help="Values an arm gets a day.")] = 0.0,
    seen: Annotated[int, typer.Option(min=0, help="Values an arm has already.")] = 0,
    at_most: Annotated[
        int | None, typer.Option(min=2, help="Values an arm will get at most.")
    ] = None,
    arms: Annotated[int, typer.Option(min=2, help="Arms, the baseline among them.")] = 2,
    metrics: Annotated[int, typer.Option(min=1, help="Primary metrics.")] = 1,
    looks: Annotated[int, typer.Option(min=1, max=100, help="Looks, for all but 'fixed'.")] = 20,
    alpha: Alpha = 0.05,
    power: Annotated[float, typer.Option(min=0.05, max=0.999, help="Chance to find it.")] = 0.8,
    as_json: AsJson = False,
) -> None:
    """How many values an arm, how small a difference, how many days: each method beside the others.

    `fixed` looks once, `anytime` as often as you like, the other two at equally spaced looks that
    are planned. Alpha is shared by the comparisons of arms and metrics (Bonferroni), as verdicts
    do.

    Examples:

        rheostat stats plan --difference 0.02 --deviation 0.25 --per-day 4000

        rheostat stats plan --difference 0.005 --rate 0.03 --at-most 50000 --arms 3
    """
    from streams.statistics import planning
    from streams.statistics.multiple import bonferroni_alpha

    if rate is not None and deviation is None:
        if not rate + difference <= 1:
            raise OperatorError(f"a rate of {rate:g} cannot be {difference:g} higher.")
        deviation = planning.deviation_of_rates(rate, rate + difference)
    elif deviation is None or rate is not None:
        raise OperatorError("name either --deviation, or --rate for a metric of 0 and 1.")
    comparisons = (arms - 1) * metrics
    asked = planning.Question(difference, deviation, per_day, at_most, seen)
    rows = planning.beside(asked, bonferroni_alpha(alpha, comparisons), power, looks)
    if as_json:
        found = [{name: getattr(row, name) for name in row.__dataclass_fields__} for row in rows]
        sys.stdout.write(json.dumps({"deviation": deviation, "methods": found}, indent=1) + "\n")
        return
    console.print(
        f"To find {difference:g} (standard deviation {deviation:.4g}) with {power:.0%}, at "
        f"α = {alpha:g} shared by {comparisons} comparison{'s' if comparisons > 1 else ''}",
        highlight=False,
    )
    table = Table("method", "values an arm", "on average", "days left", "on average")
    if at_most is not None:
        table.add_column(f"found by {at_most:,}")
        table.add_column("chance by then")
    for row in rows:
        cells = [row.method, f"{row.n:,}", f"{row.expected_n:,}"]
        cells += [_days(row.days), _days(row.expected_days)]
        if row.detectable is not None and row.power is not None:
            cells += [f"{row.detectable:.4g}", f"{row.power:.0%}"]
        table.add_row(*cells)
    console.print(table)


def _days(days: float | None) -> str:
    return "name --per-day" if days is None else f"{days:,.1f}"
