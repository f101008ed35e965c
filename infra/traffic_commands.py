"""Commands that make traffic: the demo, a scripted model endpoint, one's own calls from a file."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from infra import configuration
from infra.errors import OperatorError

console = Console()
err = Console(stderr=True)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    for command in (demo, endpoint, produce):
        app.command()(command)


def demo(
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", help="Where the stack keeps its data.")
    ] = None,
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
    raise typer.Exit(run(configuration.read(), options, console))


def endpoint(
    script: Annotated[Path | None, typer.Argument(help="YAML or JSON; none: answers ok.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any.")] = 0,
    standard: Annotated[
        bool, typer.Option("--standard", help="Knows the answers to the standard suites.")
    ] = False,
    accuracy: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="How often they are given; else 'I do not know.'"),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Another one: wrong in other cases.")] = None,
) -> None:
    """Serve a scripted model endpoint on loopback, for tests and demonstrations.

    Speaks OpenAI's chat and completions protocols and Anthropic's Messages; prints its address.
    With --standard every model answers the standard suites rightly, as often as --accuracy says,
    and wrongly in the same cases each time; a script's rules may use those answers (by_table).

    Examples:

        rheostat endpoint script.yaml --port 8090

        rheostat endpoint --standard --accuracy 0.8 --port 8090
    """
    from infra.scripted_endpoint.serve import chosen, run

    run(chosen(script, standard, accuracy, seed), "127.0.0.1", port, console)


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
    raise typer.Exit(run(configuration.read(), options, console, err))
