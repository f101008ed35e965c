"""kill -9 of the engine at random instants during an evaluation; then counts are compared exactly.

python -m bench.chaos_evaluations --cases 2000 --kills 16 --seed 1
"""

import json
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench.parts.planner import desk
from bench.stack import Stack
from bench.toy_suite import ASKER, NAME, create
from infra.scripted_endpoint.script import Answer, Fault, Latency, Rule, Script
from infra.scripted_endpoint.serve import Running, serving
from infra.settings import Settings
from schemas.evaluations import EvaluationRun, RunModel, RunSpec

TARGETS = ("runner", "agents", "kafka", "clickhouse")
RESULT = Path(__file__).parent / "results" / "chaos_evaluations.json"
MODELS = ("small", "large")
FRESH_S = 0.05
"""An answer that is younger counts as in flight: it may not have been kept yet."""
RUN_TIMEOUT_S = 1200.0
STORED_TIMEOUT_S = 120.0
SCRIPT = Script(
    rules=(
        Rule(
            answer=Answer("ok"),
            latency=Latency(150, 0.5),
            faults=(Fault("server_error", 0.05), Fault("rate_limit", 0.02, seconds=0.1)),
        ),
    )
)
console = Console()


@dataclass(slots=True)
class Kills:
    """What was killed, and the calls that were in flight then."""

    killed: Counter[str] = field(default_factory=Counter)
    in_flight: int = 0


def main(
    cases: Annotated[int, typer.Option(help="Of the dataset; each model is asked all.")] = 1000,
    kills: Annotated[int, typer.Option(help="How many processes to kill at most.")] = 16,
    seed: Annotated[int, typer.Option(help="Seed of instants and victims.")] = 1,
) -> None:
    """Kills, restarts, waits for the run, compares. Exit 1 when a single count is wrong."""
    rng = random.Random(seed)
    with (
        tempfile.TemporaryDirectory(prefix="rheostat-chaos-") as folder,
        serving(SCRIPT) as endpoint,
    ):
        stack = Stack(Path(folder) / "data")
        stack.start()
        try:
            stack.wait_ready()
            settings = Settings(
                kafka_bootstrap=stack.bootstrap, kafka_properties={"log_level": "0"}
            )
            with desk(settings) as (evaluations, registry, client):
                spec = RunSpec(NAME, "1", tuple(RunModel(name, "1") for name in MODELS))
                create(settings, registry, client, cases, MODELS, endpoint.base_url)
                run = evaluations.begin(spec, ASKER)
                done, killed = _killed(
                    stack, endpoint, rng, kills, lambda: evaluations.runs.get(run.run_id) or run
                )
            result = _result(stack, endpoint, done, killed)
        finally:
            stack.stop()
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    table = Table("count", "value")
    for name, value in result.items():
        table.add_row(name, str(value))
    console.print(table)
    sys.exit(0 if result["exact"] else 1)


def _killed(
    stack: Stack, endpoint: Running, rng: random.Random, kills: int, now: Any
) -> tuple[EvaluationRun, Kills]:
    """The run once it is over, killed at on its way: every target in turn, in a random order."""
    found = Kills()
    order: list[str] = []
    deadline = time.monotonic() + RUN_TIMEOUT_S
    with Progress(console=console) as bar:
        task = bar.add_task("evaluating", total=None)
        while time.monotonic() < deadline:
            run: EvaluationRun = now()
            bar.update(task, completed=run.finished, total=run.planned or None)
            if run.state in ("completed", "failed", "cancelled"):
                return run, found
            calls = sum(endpoint.endpoint.calls.values())
            time.sleep(rng.uniform(0.5, 3.0))
            # Nothing is killed twice before the engine works again.
            if found.killed.total() >= kills or sum(endpoint.endpoint.calls.values()) == calls:
                continue
            order = order or rng.sample(TARGETS, len(TARGETS))
            name = order.pop()
            answered = sum(endpoint.endpoint.answered.values())
            time.sleep(FRESH_S)
            in_flight = endpoint.endpoint.at_once
            in_flight += sum(endpoint.endpoint.answered.values()) - answered
            if stack.kill(name):
                found.killed[name] += 1
                found.in_flight += in_flight if name in ("runner", "kafka") else 0
                bar.update(task, description=f"killed {name}")
    raise TimeoutError(f"the run was not over after {RUN_TIMEOUT_S:g} s: {now().state}")


def _result(stack: Stack, endpoint: Running, run: EvaluationRun, kills: Kills) -> dict[str, Any]:
    where = f"FROM rheostat.case_results WHERE run_id = '{run.run_id}'"
    rows = f"SELECT count() {where}"
    counted = "SELECT sum(n) FROM rheostat.metric_panes WHERE metric = 'error' "
    counted += "AND source = 'evaluation'"
    deadline = time.monotonic() + STORED_TIMEOUT_S
    while time.monotonic() < deadline and any(
        (stack.query(sql) or 0) < run.planned for sql in (rows, counted)
    ):
        time.sleep(1)
    time.sleep(5)  # in case there is one too many
    counts = endpoint.endpoint
    retries = counts.answered[500] + counts.answered[429]
    calls = sum(counts.calls.values())
    found = {
        "state": run.state,
        "cases": run.planned,
        "finished": run.finished,
        "results": stack.query(rows),
        "results_distinct": stack.query(f"SELECT uniqExact(case_id, epoch, model_id) {where}"),
        "counted": stack.query(counted),
        "errors": run.errors,
        "calls": calls,
        "retries": retries,
        "in_flight_at_kills": kills.in_flight,
        "kills": dict(kills.killed),
    }
    same = ("finished", "results", "results_distinct", "counted")
    exact = run.state == "completed" and all(found[name] == run.planned for name in same)
    return {**found, "exact": exact and calls <= run.planned + retries + kills.in_flight}


if __name__ == "__main__":
    typer.run(main)
