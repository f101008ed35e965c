"""A lane in a process of its own, with a fuse: python -m tests.support.lane_process '{...}'"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, Producer

from infra import logs
from infra.settings import Settings
from tests.support import fuse
from tests.support.lanes import Lanes
from tests.support.servers import ClickHouseServer, Kafka

BLOWS = {"kill": fuse.kill, "stop": fuse.stop}


@dataclass(frozen=True, slots=True)
class Order:
    """What to run. `method` of the producer (streams), the consumer or ClickHouse (sinks).

    blow: 'kill' or 'stop', '' for a process that is sound.
    """

    kind: str
    name: str
    database: str
    blow: str = ""
    method: str = ""
    nth: int = 0
    when: fuse.When = "before"

    def fused(self, target: Any) -> Any:
        return fuse.Fused(target, self.method, self.nth, self.when, BLOWS[self.blow])


@contextmanager
def process(
    lanes: Lanes, kind: str, name: str, **fused: Any
) -> Iterator["subprocess.Popen[bytes]"]:
    """Runs until the end of the block, unless its fuse blows first."""
    order = {"kind": kind, "name": name, "database": lanes.database, **fused}
    running = subprocess.Popen(
        [sys.executable, "-m", "tests.support.lane_process", json.dumps(order)],
        env={
            **os.environ,
            "RHEOSTAT_KAFKA_BOOTSTRAP": lanes.kafka.bootstrap,
            "RHEOSTAT_CLICKHOUSE_URL": lanes.clickhouse.url,
            "RHEOSTAT_TOPIC_PREFIX": lanes.settings.topic_prefix,
        },
    )
    try:
        yield running
    finally:
        running.send_signal(signal.SIGCONT)
        running.terminate()
        try:
            running.wait(30)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait(10)


def main() -> None:
    order = Order(**json.loads(sys.argv[1]))
    settings = Settings()
    logs.configure("INFO")
    url = settings.clickhouse
    lanes = Lanes(Kafka(settings.bootstrap), settings, ClickHouseServer(url), order.database)
    end = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: end.set())
    if order.kind == "streams":
        worker = lanes.worker(order.name)
        if order.blow:
            worker.client = lambda config: order.fused(Producer(config))
        with worker.registry:
            worker.run(end)
        return
    writer = lanes.writer(order.name)
    if order.blow and order.method == "insert":
        writer.clickhouse = order.fused(writer.clickhouse)
    elif order.blow:
        writer.client = lambda config: order.fused(Consumer(config))
    writer.run(end)


if __name__ == "__main__":
    main()
