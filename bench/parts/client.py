"""What the client costs its caller: a choice among many, and a reported call.

Wall clock in one process whose background threads run as in production; Kafka is away, which
changes nothing for the caller, so the figures need no servers. Each is the median over ROUNDS.
"""

import math
import statistics
import time
from collections.abc import Callable

from rheostat_client import Config, Reporter
from rheostat_client.chooser import Chooser
from rheostat_client.selections import Candidate, Update
from rheostat_client.shelf import Shelf

CAPABILITIES = 100
MODELS = 50
LEADER = 0.9
CHOICES = 50_000
REPORTS = 5_000
ROUNDS = 7
NOBODY = "127.0.0.1:1"
"""A port where no broker listens."""


def run() -> dict[str, float]:
    """Microseconds: p99 of a sticky choice among MODELS, mean of a reported call."""
    return {
        "client.choose_p99_us": round(choose_p99_us(), 2),
        "client.report_us": round(report_us(), 2),
    }


def choose_p99_us() -> float:
    """Units are all different, so nothing can be remembered from one choice to the next."""
    chooser = Chooser(_shelves(), {}, math.inf, time.time)
    names = [f"capability-{i % CAPABILITIES}" for i in range(CHOICES)]
    units = [f"user-{i}" for i in range(CHOICES)]

    def once() -> float:
        taken = []
        for capability, unit in zip(names, units, strict=True):
            started = time.perf_counter_ns()
            chooser.choose(capability, unit, None)
            taken.append(time.perf_counter_ns() - started)
        return sorted(taken)[math.ceil(0.99 * CHOICES) - 1] / 1000

    return _median(once)


def report_us() -> float:
    """A whole `with` block with a first token and usage, as a caller writes it."""
    with Reporter(Config("bench", NOBODY), buffer_events=REPORTS * ROUNDS) as reporter:

        def once() -> float:
            started = time.perf_counter_ns()
            for _ in range(REPORTS):
                with reporter.inference(
                    model_id="model-1", model_version="1", capability="chat", unit_id="user-1"
                ) as call:
                    call.first_token()
                    call.usage(input_tokens=100, output_tokens=20)
            return (time.perf_counter_ns() - started) / REPORTS / 1000

        median = _median(once)
        reporter.close(timeout_s=0)
        if reporter.counts.accepted != REPORTS * ROUNDS:
            raise RuntimeError(f"events were not taken: {reporter.counts}")
        return median


def _shelves() -> dict[str, Shelf]:
    now_ms = int(time.time() * 1000)
    others = (1 - LEADER) / (MODELS - 1)
    candidates = tuple(
        Candidate(f"model-{i}", "1", i + 1, others if i else LEADER, True, reasons=("measured",))
        for i in range(MODELS)
    )
    hour_ms = 3_600_000
    return {
        name: Shelf(
            Update("s", "bench", name, now_ms, now_ms + hour_ms, "", candidates), confirmed=True
        )
        for name in (f"capability-{i}" for i in range(CAPABILITIES))
    }


def _median(once: Callable[[], float]) -> float:
    return statistics.median(once() for _ in range(ROUNDS))
