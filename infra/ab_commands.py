"""The commands `rheostat ab ...`."""

from typing import Annotated

import typer
from rich.console import Console

from infra import configuration, logs
from infra.errors import OperatorError
from schemas.entities import AbTest

ab_app = typer.Typer(
    help="A/B tests: results, how they came about, what they still take, whether they hold.",
    no_args_is_help=True,
)
console = Console()

TestId = Annotated[str, typer.Argument(metavar="ID", help="The A/B test.")]
Org = Annotated[
    str | None, typer.Option("--org", help="Its organisation, where several have such a test.")
]


@ab_app.command("results")
def ab_results(
    ab_test: TestId,
    org: Org = None,
    with_health: Annotated[
        bool, typer.Option("--health/--no-health", help="Ask ClickHouse whether it is sound.")
    ] = True,
) -> None:
    """Show what a test's newest verdict says, why, every comparison, and whether the test is sound.

    Of an offline test, the verdict is of the cases that are finished now, with every paired test;
    of a test whose weights changed, the differences by periods of constant weights stand beside.
    The health of the test (units in several arms, traffic, novelty, carry-over, winsorised
    differences) is counted in ClickHouse now: seconds with many units.

    Examples:

        rheostat ab results prompt-7

        rheostat ab results prompt-7 --no-health
    """
    from infra.ab import health, known, results
    from infra.ab_health_show import health_lines
    from infra.ab_show import results_lines

    logs.configure("ERROR")
    settings = configuration.read()
    found = known(settings, ab_test, org)
    for line in results_lines(results(settings, found)):
        console.print(line)
    if with_health:
        for line in health_lines(health(settings, found)):
            console.print(line)


@ab_app.command("methods")
def ab_methods(
    ab_test: TestId,
    org: Org = None,
    metric: Annotated[str | None, typer.Option(help="Only of this one. Default: all.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON, for programs.")] = False,
) -> None:
    """Show what other methods say of a test: exact, by ranks, of quantiles, within a margin.

    The verdict does not rest on them. Every row says whether it holds at every look or at one only.

    Examples:

        rheostat ab methods prompt-7

        rheostat ab methods prompt-7 --metric latency_ms --json
    """
    from infra.ab import known, methods_of
    from infra.ab_methods_show import methods_lines

    logs.configure("ERROR")
    settings = configuration.read()
    found = known(settings, ab_test, org)
    _require_compared(found.test, metric)
    said = methods_of(settings, found, metric)
    if as_json:
        typer.echo(said.model_dump_json(indent=2))
        return
    for line in methods_lines(found.test, said):
        console.print(line)


@ab_app.command("timeline")
def ab_timeline(
    ab_test: TestId,
    org: Org = None,
    metric: Annotated[str | None, typer.Option(help="Default: the first primary one.")] = None,
    points: Annotated[int, typer.Option(help="How many lines at most.", min=2, max=1000)] = 20,
) -> None:
    """Show how a metric's interval and the recommendation went, from ClickHouse.

    Examples:

        rheostat ab timeline prompt-7

        rheostat ab timeline prompt-7 --metric latency_ms --points 50
    """
    from infra.ab import known, timeline
    from infra.ab_show import timeline_table

    logs.configure("ERROR")
    settings = configuration.read()
    found = known(settings, ab_test, org)
    _require_compared(found.test, metric)
    console.print(timeline_table(found, timeline(settings, found, points), metric))


@ab_app.command("plan")
def ab_plan(
    ab_test: TestId,
    org: Org = None,
    power: Annotated[float, typer.Option(help="Chance to find it.", min=0.01, max=0.999)] = 0.8,
) -> None:
    """Show how many values and days a test still takes to find the difference that matters.

    Examples:

        rheostat ab plan prompt-7

        rheostat ab plan prompt-7 --power 0.9
    """
    from infra.ab import known, planned
    from infra.ab_show import plan_table

    logs.configure("ERROR")
    settings = configuration.read()
    found = known(settings, ab_test, org)
    console.print(plan_table(found, planned(settings, found, power)))


@ab_app.command("reproduce")
def ab_reproduce(
    ab_test: TestId,
    org: Org = None,
    kafka_only: Annotated[
        bool, typer.Option("--kafka-only", help="Do not ask ClickHouse for anything.")
    ] = False,
) -> None:
    """Compute a test's newest verdict again from the log, and compare it field by field.

    Reads metric-partials up to the offsets that the verdict names, committed messages only, or the
    panes in ClickHouse when the log is gone (and says so). Exit code 0: everything is the same; 1:
    something differs, or nothing could be compared.

    Examples:

        rheostat ab reproduce prompt-7

        rheostat ab reproduce prompt-7 --org acme --kafka-only
    """
    from infra.ab import known, reproduced
    from infra.ab_show import reproduction_lines

    logs.configure("ERROR")
    settings = configuration.read()
    found = known(settings, ab_test, org)
    result = reproduced(settings, found, ask_clickhouse=not kafka_only)
    for line in reproduction_lines(found, result):
        console.print(line)
    if not result.same:
        raise typer.Exit(1)


def _require_compared(test: AbTest, metric: str | None) -> None:
    """Raises OperatorError for a metric that the test does not compare; None: no one is named."""
    compared = [goal.metric for goal in test.metrics]
    if metric not in (None, *compared):
        raise OperatorError(
            f"{test.ab_test_id} does not compare {metric}; it compares {', '.join(compared)}."
        )
