"""The same job by others, side by side: Kafka Streams exactly once, our lane on its events."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from bench.context import Context
from bench.figures import Figure, median, ratio

FOLDER = "RHEOSTAT_BENCH_PEERS"
ROOT = Path(__file__).parents[2]
DEFAULT = ROOT.parent / "shared" / "peers"
OUT = ROOT / "bench" / "results" / "peers"
TIMEOUT_S = 1200.0
NEEDED = ("java", "mvn")

Runs = list[float]
"""Events per CPU-second of each run."""


def run(context: Context) -> dict[str, Figure]:
    """Kafka Streams and our lane in turns on the peers' events; or why not."""
    folder = Path(os.environ.get(FOLDER, DEFAULT)).resolve()
    missing = why_not(folder)
    if missing is not None:
        context.say(f"peers skipped: {missing}")
        return {"peers.skipped": missing}
    context.lab.start_kafka()
    own: Runs = []
    streams: Runs = []
    keyed: Runs = []
    for number in range(1, context.rounds + 1):
        context.say(f"round {number} of {context.rounds}: our lane on the peers' events")
        own.append(_run(context, folder, "own", "--", sys.executable, "-m", "bench.contender"))
        context.say(f"round {number} of {context.rounds}: Kafka Streams, exactly once")
        streams.append(_run(context, folder, "kstreams", "--guarantee", "eos"))
        if context.full:
            by_key = ("--mode", "groupByKey", "--guarantee", "eos")
            keyed.append(_run(context, folder, "kstreams", *by_key))
    figures: dict[str, Figure] = {
        "peers.events": context.events,
        "peers.own_per_cpu_second": round(median(own)),
        "peers.kafka_streams_per_cpu_second": round(median(streams)),
        "data_lane.ratio_to_kafka_streams": round(ratio(own, streams), 3),
    }
    if keyed:
        figures["peers.kafka_streams_keyed_per_cpu_second"] = round(median(keyed))
    return figures


def why_not(folder: Path) -> str | None:
    """What is missing for the peers to run, None when nothing is."""
    if not (folder / "run.py").exists():
        return f"{folder.name}/run.py was not found; name its folder in {FOLDER}"
    absent = [name for name in NEEDED if shutil.which(name) is None]
    return f"{' and '.join(absent)} not installed (Kafka Streams needs them)" if absent else None


def _run(context: Context, folder: Path, *arguments: str) -> float:
    """Events per CPU-second of one verified run. Raises RuntimeError."""
    options = list(arguments)
    options[1:1] = ["-n", str(context.events)]
    done = subprocess.run(
        [sys.executable, str(folder / "run.py"), *options],
        cwd=ROOT,
        env={
            **os.environ,
            "PEERS_BOOTSTRAP": context.lab.bootstrap,
            "PEERS_OUT": str(OUT),
            FOLDER: str(folder),
            "POLARS_MAX_THREADS": "1",
        },
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    return per_cpu_second(done.stdout, done.stderr)


def per_cpu_second(output: str, errors: str) -> float:
    """The rate in the RESULT line. Raises RuntimeError when there is none, or it is unverified."""
    lines = [x.removeprefix("RESULT ") for x in output.splitlines() if x.startswith("RESULT ")]
    if not lines:
        raise RuntimeError(f"the run gave no result:\n{output[-1000:]}\n{errors[-2000:]}")
    found = json.loads(lines[-1])
    if not found["verified"]:
        raise RuntimeError(f"the run's output is not the truth: {lines[-1]}")
    return float(found["n"] / found["cpu_s"])
