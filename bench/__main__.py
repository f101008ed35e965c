"""`make bench`: every part, or the one named by --only; figures go to bench/results/latest.json."""

import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import psutil
import typer
from rich.console import Console
from rich.table import Table

from bench.context import Context
from bench.figures import TARGETS, Figure, Figures, merged
from bench.lab import Lab
from bench.parts import (
    api,
    api_metrics,
    client,
    data_lane,
    end_to_end,
    peers,
    planner,
    runner,
    scaling,
    stats,
    storage_lane,
)

RESULT = Path(__file__).parent / "results" / "latest.json"
console = Console()

Part = Callable[[Context], Mapping[str, Figure]]
PARTS: Mapping[str, Part] = {
    "data_lane": data_lane.run,
    "peers": peers.run,
    "storage_lane": storage_lane.run,
    "end_to_end": end_to_end.run,
    "scaling": scaling.run,
    "client": lambda _: client.run(),
    "stats": stats.run,
    "runner": runner.run,
    "planner": planner.run,
    "api": api.run,
    "api_metrics": api_metrics.run,
}
ALSO = {"worker": "end_to_end", "registry": "api"}
"""Parts whose figures another one gives."""


def main(
    only: Annotated[str | None, typer.Option(help=f"One of {', '.join((*PARTS, *ALSO))}.")] = None,
    events: Annotated[int, typer.Option(min=1000, help="Events of the large runs.")] = 2_000_000,
    rounds: Annotated[int, typer.Option(min=1, help="How often compared runs alternate.")] = 3,
    steady: Annotated[float, typer.Option(help="Seconds of the steady stream.")] = 60.0,
    rate: Annotated[int, typer.Option(min=100, help="Events a second of it.")] = 10_000,
    full: Annotated[bool, typer.Option(help="The longest variants too.")] = False,
) -> None:
    """Measures beside baselines in the same run. Exit 1 when a target is missed.

    Examples:

        make bench

        make bench ONLY=data_lane

        python -m bench --only scaling --full
    """
    name = ALSO.get(only or "", only)
    if name is not None and name not in PARTS:
        console.print(f"[red]there is no part {only}[/]; there are {', '.join((*PARTS, *ALSO))}")
        sys.exit(2)
    chosen = [name] if name else list(PARTS)
    before: Figures = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    found: dict[str, Figure] = {}
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="rheostat-bench-") as folder:
        lab = Lab(Path(folder))
        context = Context(lab, console, events, rounds, steady, rate, full)
        try:
            for part in chosen:
                console.rule(part)
                found |= PARTS[part](context)
                _write(merged(before, _replaced(chosen), {**found, **_machine()}))
        finally:
            lab.close()
    _show(found)
    console.print(f"{time.monotonic() - began:.0f} s; all figures are in {RESULT.name}")
    sys.exit(1 if any(_missed(key, value) for key, value in found.items()) else 0)


def _replaced(parts: list[str]) -> list[str]:
    """The prefixes whose earlier figures do not stand any more."""
    return [*parts, "machine", *(also for also, part in ALSO.items() if part in parts)]


def _machine() -> dict[str, Figure]:
    return {
        "machine.cores": os.cpu_count() or 0,
        "machine.memory_gb": round(psutil.virtual_memory().total / 2**30),
        "machine.processor": _processor(),
        "machine.system": f"{platform.system()} {platform.release()}",
        "machine.python": platform.python_version(),
        "machine.load_before": round(psutil.getloadavg()[0], 1),
        "machine.versions": ", ".join(
            f"{name} {version(name)}" for name in ("numpy", "polars", "confluent-kafka", "chdb")
        ),
        "machine.measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if "model name" in line), "")


def _missed(key: str, value: Figure) -> bool:
    target = TARGETS.get(key)
    return target is not None and not (isinstance(value, int | float) and target.met(value))


def _write(figures: Figures) -> None:
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(figures, indent=1) + "\n")


def _show(figures: Figures) -> None:
    table = Table("figure", "value", "target", "")
    for key, value in sorted(figures.items()):
        target = TARGETS.get(key)
        mark = (
            "" if target is None else "[red]missed[/]" if _missed(key, value) else "[green]met[/]"
        )
        shown = f"{value:,}" if isinstance(value, int | float) else value
        table.add_row(key, shown, "" if target is None else str(target), mark)
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
