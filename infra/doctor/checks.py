"""Everything the doctor asks, in the order of the report."""

import time
from contextlib import nullcontext

from rich.console import Console

from infra.doctor import clickhouse, groups, kafka, machine, processes, registry, show
from infra.doctor.examination import Check, examine
from infra.settings import Settings

KAFKA, CLICKHOUSE, TABLES, SCHEMAS = "Kafka", "ClickHouse", "tables", "schemas"

CHECKS = (
    Check("settings", machine.settings_in_effect, "it decides what everything else connects to"),
    Check("disk", machine.disk, "a full disk stops the broker and refuses inserts"),
    Check("processes", processes.processes, "they do the work", timeout_s=30.0),
    Check(KAFKA, kafka.broker, "it is the log that everything reads and writes"),
    Check("topics", kafka.topics, "everything is read from and written to topics", (KAFKA,)),
    *(
        Check(lane.name, groups.LaneCheck(lane), lane.stops, (KAFKA,), timeout_s=40.0)
        for lane in groups.LANES
    ),
    Check(
        "transactions",
        kafka.transactions,
        "an open transaction hides what was written behind it",
        (KAFKA,),
    ),
    Check(SCHEMAS, registry.schema_registry, "messages cannot be decoded without their schemas"),
    Check(
        "registry",
        registry.registry,
        "models, prices, tests and policies come from it",
        (KAFKA, "topics", SCHEMAS),
        timeout_s=30.0,
    ),
    Check(CLICKHOUSE, clickhouse.server, "it is the memory: metrics, rows, history"),
    Check(TABLES, clickhouse.tables, "inserts and queries need them", (CLICKHOUSE,)),
    Check("dead letters", clickhouse.dead_letters, "they are not counted", (TABLES,)),
    Check("clock, Kafka", machine.kafka_clock, "events are judged by time", (KAFKA,)),
    Check("clock, ClickHouse", machine.clickhouse_clock, "rows expire by time", (CLICKHOUSE,)),
)


def examined(
    settings: Settings, console: Console, *, as_json: bool = False, again_s: float | None = None
) -> int:
    """Examines and shows, once or until Ctrl-C; the exit code of the last time."""
    while True:
        with console.status("examining") if not as_json else nullcontext():
            report = examine(CHECKS, settings)
        if as_json:
            console.print(show.as_json(report), highlight=False, markup=False, soft_wrap=True)
        else:
            console.print(show.as_table(report, console))
            console.print(show.summary(report))
        code = 0 if report.healthy else 1
        if again_s is None:
            return code
        try:
            time.sleep(again_s)
        except KeyboardInterrupt:
            return code
        console.print()
