"""The REST API: how long a write takes until it can be read, and how many reads a CPU second gives.

Workers as the product starts them, over a real broker and the real engine. The server's CPU time is
what the operating system says that it used: other work on the machine does not count. The same
addresses are read again and again, as programs do, so most answers are kept ones (`api.answers`);
an address that is new costs ten to hundred times as much.
"""

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import orjson
import uvloop

from agents.access.keys import KeyWish, NewKey, new_key
from bench.context import Context
from bench.figures import Figure, median, percentile
from bench.http import Load, request
from bench.lab import Child, apply_registry
from infra.workers import migrate
from schemas.entities import Entity, Model, Price, SelectionPolicy
from tests.support.servers import free_port

MODELS = 1_000
ORG = "bench"
BASE = "/api/v1/evaluation"
WRITES = 500
READS = 5_000
CONNECTIONS = 8
PACED_PER_S = 100.0
PACED_S = 10.0
UNLIMITED = {"RHEOSTAT_API_RATE_PER_CALLER": "100000000/second"}
PROVIDERS, CAPABILITIES = 10, 20


def run(context: Context) -> Mapping[str, Figure]:
    """registry.write_p99_ms, api.reads_per_cpu_second, api.read_p99_ms and what goes with them."""
    lab = context.lab
    lab.start_clickhouse()
    settings = lab.new_settings()
    migrate(settings)
    key = new_key(KeyWish(ORG, "editor"), datetime.now(UTC))
    context.say(f"{MODELS:,} models")
    for start in range(0, MODELS, 200):
        apply_registry(settings, [_model(i) for i in range(start, start + 200)])
    apply_registry(settings, [key.entity, *_policies()])
    port = free_port()
    env = {"RHEOSTAT_API_PORT": str(port), **UNLIMITED}
    with lab.worker("agents", settings), lab.worker("api", settings, **env) as server:
        reads = _reads(key, READS)
        uvloop.run(Load(port).as_fast_as_it_goes(reads[:500], CONNECTIONS))  # warm
        rates = [_reads_per_cpu_s(server, port, reads) for _ in range(context.rounds)]
        paced = Load(port)
        uvloop.run(paced.paced(_reads(key, int(PACED_PER_S * PACED_S)), PACED_PER_S, CONNECTIONS))
        writes = Load(port)
        uvloop.run(writes.as_fast_as_it_goes(_writes(key), 1))
        return {
            "api.reads_per_cpu_second": round(median(rates)),
            "api.read_p50_ms": round(percentile(paced.taken_ms, 0.5), 2),
            "api.read_p99_ms": round(percentile(paced.taken_ms, 0.99), 2),
            "api.rss_mb": round(server.rss_mb()),
            "registry.write_p50_ms": round(percentile(writes.taken_ms, 0.5), 1),
            "registry.write_p99_ms": round(percentile(writes.taken_ms, 0.99), 1),
        }


def _reads_per_cpu_s(server: Child, port: int, reads: Sequence[bytes]) -> float:
    before = server.cpu_s()
    uvloop.run(Load(port).as_fast_as_it_goes(reads, CONNECTIONS))
    return len(reads) / (server.cpu_s() - before)


def _reads(key: NewKey, count: int) -> list[bytes]:
    """Seven of ten: one model. The others: a page of 20, a search, a policy."""
    rng = random.Random(1)

    def path() -> str:
        match rng.randrange(10):
            case 0:
                return f"models/?provider=provider-{rng.randrange(PROVIDERS)}&limit=20"
            case 1:
                return f"models/search/?capability=c{rng.randrange(CAPABILITIES)}&limit=20"
            case 2:
                return f"policies/c{rng.randrange(CAPABILITIES)}/"
        return f"models/model-{rng.randrange(MODELS)}/"

    return [request("GET", f"{BASE}/{path()}", key.token) for _ in range(count)]


def _writes(key: NewKey) -> list[bytes]:
    """Each is answered when its effect can be read."""
    return [
        request(
            "PATCH",
            f"{BASE}/policies/c{i % CAPABILITIES}/",
            key.token,
            orjson.dumps({"min_samples": i + 1}),
        )
        for i in range(WRITES)
    ]


def _model(i: int) -> Entity:
    capabilities = {f"c{i % CAPABILITIES}": None, f"c{(i * 7 + 3) % CAPABILITIES}": None}
    return Model(
        ORG,
        f"model-{i}",
        "1",
        f"provider-{i % PROVIDERS}",
        tuple(capabilities),
        prices=(Price(datetime(2026, 1, 1, tzinfo=UTC), 1 + i % 7, 2 + i % 9),),
        description="A model of the bench, with a description as people write them. " * 3,
    )


def _policies() -> list[Entity]:
    return [SelectionPolicy(ORG, f"c{i}") for i in range(CAPABILITIES)]
