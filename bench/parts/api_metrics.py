"""How long the API takes for metrics over 30 days of panes of 100 models.

Whole answers of the application over the real engine, in one process and without a network:
a model's series, a model as a whole, and one model beside the 99 others. The panes are made in the
engine, one for every model, metric and EVERY_S; questions over so long a stretch are read from the
hours that the engine rolls them up to, which are as many whatever the panes are.
"""

import time
from collections.abc import Mapping
from typing import Any

from fastapi.testclient import TestClient

from bench.context import Context
from bench.figures import Figure, median
from schemas.entities import Model
from tests.support.api import Api
from tests.support.tables import Tables

MODELS = 100
DAYS = 30
EVERY_S = 300
EVERY_FULL_S = 60
CHUNK = 10
ROUNDS = 15
METRICS = ("latency_ms", "error", "cost_usd", "quality")
NAMES = [f"model-{i:03}" for i in range(MODELS)]


def run(context: Context) -> dict[str, Figure]:
    """Medians in milliseconds; `api.metrics_query_ms` is that of the slowest kind of question."""
    context.lab.start_clickhouse()
    tables = Tables.new(context.lab.clickhouse_url)
    now_s = int(time.time()) // 3600 * 3600
    rows = _fill(context, tables, now_s)
    models = [Model("acme", name, "1", "us", ("chat",)) for name in NAMES]
    client = tables.serve(Api(*models)).client("viewer")
    span = {"from": str(now_s - DAYS * 86_400), "to": str(now_s), "metric": list(METRICS)}
    asked: dict[str, tuple[str, Mapping[str, Any]]] = {
        "series": ("/models/model-001/metrics/", span),
        "aggregated": ("/models/model-001/metrics/aggregated/", span),
        "compared": ("/models/model-000/metrics/compare/", {**span, "with": ",".join(NAMES[1:])}),
    }
    taken = {name: _median_ms(client, *question) for name, question in asked.items()}
    for name, ms in taken.items():
        context.say(f"{name}: {ms:.0f} ms")
    return {
        "api.metrics_panes": rows,
        **{f"api.metrics_{name}_ms": round(ms, 1) for name, ms in taken.items()},
        "api.metrics_query_ms": round(max(taken.values()), 1),
    }


def _median_ms(client: TestClient, path: str, params: Mapping[str, Any]) -> float:
    taken = []
    for number in range(ROUNDS + 1):
        began = time.perf_counter()
        answer = client.get(path, params=dict(params))
        seconds = time.perf_counter() - began
        if answer.status_code != 200 or not answer.json()["points"]:
            raise RuntimeError(f"{path}: {answer.status_code} {answer.text[:200]}")
        if number:  # the first one connects
            taken.append(seconds * 1000)
    return median(taken)


def _fill(context: Context, tables: Tables, until_s: int) -> int:
    """Panes of about 20 calls with 12 bins each; how many."""
    every_s = EVERY_FULL_S if context.full else EVERY_S
    steps = DAYS * 86_400 // every_s
    clickhouse = tables.connect()
    panes = MODELS * steps * len(METRICS)
    with context.progress(f"making {panes:,} panes", MODELS) as advance:
        for first in range(0, MODELS, CHUNK):
            clickhouse.command(
                _PANES.format(
                    database=tables.database,
                    first=first * steps,
                    count=CHUNK * steps,
                    steps=steps,
                    since=until_s - DAYS * 86_400,
                    every=every_s,
                )
            )
            advance(CHUNK)
    ((rows,),) = clickhouse.rows(f"SELECT sum(n) FROM {tables.database}.metric_panes")
    if rows != 20 * panes:
        raise RuntimeError(f"{rows} values were stored, not {20 * panes}")
    return panes


_PANES = """
INSERT INTO {database}.metric_panes
    (org_id, metric, capability, model_id, model_version, ab_test_id, arm, source, pane,
     n, total, total_sq, minimum, maximum, total_nanos, sketch)
SELECT 'acme', m.1, concat('capability-', toString(model % 5)),
    concat('model-', leftPad(toString(model), 3, '0')), '1', '', '', 'production',
    toDateTime({since} + step * {every}, 'UTC'),
    20, 20 * m.2, 20 * m.2 * m.2 * (1.2 + model % 7 / 10), m.2 / 2, m.2 * 2,
    if(m.1 = 'cost_usd', 20000000, 0),
    CAST(if(m.1 = 'error',
        ([toInt32(0), toInt32(40001)], [toUInt64(19), toUInt64(1)]),
        (arrayMap(i -> toInt32(40000 + round(50 * log(m.2)) + i * 4 + (step + model) % 4),
             range(12)),
         arrayMap(i -> toUInt64(1 + i % 3), range(12)))), 'Map(Int32, UInt64)')
FROM (
    SELECT number % {steps} AS step, intDiv(number, {steps}) AS model
    FROM numbers({first}, {count})
)
ARRAY JOIN [('latency_ms', 800.), ('error', 0.05), ('cost_usd', 0.001), ('quality', 0.7)] AS m
SETTINGS max_partitions_per_insert_block = 1000
"""
