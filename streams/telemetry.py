"""Every metric that the processes export, in one list, and each process's health.

Names follow Prometheus: base units, `_total` for counters. Labels are few and bounded: never an
organisation, a model or a user's text.
"""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from prometheus_client import Counter, Gauge, Histogram

LATENCY_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300)

# Every process
HEALTHY = Gauge("rheostat_healthy", "1 while every part of the process beats in time, else 0")
READY = Gauge("rheostat_ready", "1 while the process does its work, 0 while it waits for something")

# Data lane
EVENTS = Counter("rheostat_events", "Events counted by the data lane", ["topic"])
REJECTS = Counter("rheostat_rejects", "Records filed as dead letters", ["topic", "reason"])
BATCHES = Counter("rheostat_batches", "Micro-batches committed", ["lane"])
BATCH_EVENTS = Histogram(
    "rheostat_batch_events",
    "Records in a micro-batch",
    ["lane"],
    buckets=(1, 10, 100, 1_000, 5_000, 10_000, 25_000, 50_000, 100_000, 200_000),
)
TRANSACTION_S = Histogram(
    "rheostat_transaction_seconds", "Begin to commit of a transaction", buckets=LATENCY_S
)
ABORTS = Counter("rheostat_transaction_aborts", "Transactions that were aborted and repeated")
END_TO_END_S = Histogram(
    "rheostat_end_to_end_seconds",
    "From the broker's timestamp of the oldest record of a batch to the durable result",
    ["lane"],
    buckets=LATENCY_S,
)
LAG = Gauge("rheostat_lag_records", "Records not yet processed", ["lane", "topic", "partition"])

# Storage lane
ROWS = Counter("rheostat_rows_inserted", "Rows inserted into ClickHouse", ["table"])
INSERT_S = Histogram(
    "rheostat_insert_seconds", "One insert into ClickHouse", ["table"], buckets=LATENCY_S
)
INSERT_RETRIES = Counter("rheostat_insert_retries", "Inserts that have to be repeated", ["table"])
SKIPPED = Counter(
    "rheostat_skipped_messages", "Messages of a control topic that are none of ours", ["topic"]
)
INTENTS_REPLAYED = Counter(
    "rheostat_intents_replayed", "Batches repeated under their token after a restart", ["table"]
)

# Control lane
AGENT_MESSAGES = Counter("rheostat_agent_messages", "Messages applied by an agent", ["agent"])
AGENT_REPLAYS = Counter(
    "rheostat_agent_replays", "Messages recognised as already applied", ["agent"]
)
PUBLISHED = Counter("rheostat_published", "Messages published by an agent", ["topic"])
REGISTRY_COMMANDS = Counter("rheostat_registry_commands", "Registry commands judged", ["status"])
REGISTRY_COMMAND_S = Histogram(
    "rheostat_registry_command_seconds",
    "From the broker's timestamp of a registry command to its committed outcome",
    buckets=LATENCY_S,
)
STATE_SIZE = Gauge("rheostat_state_entries", "Entries of an agent's state", ["agent"])

# Evaluation planner and runner
CASES_RELEASED = Counter("rheostat_cases_released", "Cases that the planner handed to runners")
CASES = Counter(
    "rheostat_cases", "Cases that ended: ok, cached, later, or their error_type", ["ending"]
)
CASES_HELD = Gauge("rheostat_cases_held", "Cases that were read and have not ended")
CALLS = Counter("rheostat_model_calls", "Calls of model endpoints by outcome", ["outcome"])
CALL_S = Histogram(
    "rheostat_model_call_seconds", "From the request to the last byte", buckets=LATENCY_S
)


@dataclass(slots=True)
class Health:
    """Whether a process lives and is ready; shown at /healthz and /readyz.

    A part that promised to beat at least every `max_silence_s` and did not makes the process
    unhealthy; a part that is not ready yet makes it unready.
    """

    max_silence_s: float = 60.0
    _beats: dict[str, float] = field(default_factory=dict)
    _ready: dict[str, str | None] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def beat(self, part: str) -> None:
        """The part's loop went round."""
        with self._lock:
            self._beats[part] = time.monotonic()

    def waiting(self, part: str, why: str) -> None:
        """The part is not ready, and why."""
        with self._lock:
            self._ready[part] = why

    def ready(self, part: str) -> None:
        """The part does its work."""
        with self._lock:
            self._ready[part] = None

    def not_ready(self) -> Mapping[str, str]:
        """Parts that are not ready, with the reason. Nothing registered is not ready either."""
        with self._lock:
            if not self._ready:
                return {"process": "starting"}
            return {part: why for part, why in self._ready.items() if why is not None}

    def silent(self, now_s: float | None = None) -> Mapping[str, float]:
        """Parts that have not beaten for too long, with the seconds since."""
        now_s = time.monotonic() if now_s is None else now_s
        with self._lock:
            ages = {part: now_s - at for part, at in self._beats.items()}
        return {part: age for part, age in ages.items() if age > self.max_silence_s}
