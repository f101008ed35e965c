"""The bare rate: consume batches and take their values, with the data lane's own settings.

python -m bench.consume BOOTSTRAP TOPIC EVENTS BATCH_SIZE LINGER_MS
"""

import gc
import json
import resource
import sys
import time
import uuid

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from streams.kafka import KafkaConfig
from streams.source import fetching
from streams.worker import keep_memory


def main(bootstrap: str, topic: str, events: int, batch_size: int, linger_ms: int) -> None:
    """Prints one JSON line: events, seconds of wall and of CPU, first batch asked to last taken."""
    keep_memory()
    config = KafkaConfig(bootstrap)
    consumer = Consumer(config.consumer(f"bare-{uuid.uuid4().hex}", **fetching(batch_size)))
    found = consumer.list_topics(topic, timeout=30).topics[topic]
    gc.freeze()
    gc.disable()
    wall, cpu = time.perf_counter(), _cpu_s()
    consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in found.partitions])
    taken = 0
    while taken < events:
        messages = consumer.consume(batch_size, linger_ms / 1000)
        if any(map(Message.error, messages)):
            raise RuntimeError("the consumer reported an error")
        taken += len(list(map(Message.value, messages)))
    wall, cpu = time.perf_counter() - wall, _cpu_s() - cpu
    print(json.dumps({"events": taken, "wall_s": wall, "cpu_s": cpu}), flush=True)
    consumer.close()


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *(int(value) for value in sys.argv[3:6]))
