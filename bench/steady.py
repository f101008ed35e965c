"""A steady stream of pre-encoded events, with probes among them whose arrival can be seen.

A probe is an event of an organisation of its own. Its place in the order of that organisation's
events is known, so whoever counts the organisation's events knows when the probe is among them.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.traffic import Sender, Traffic, columns, messages
from schemas.catalog import committed
from schemas.entities import Model, PolicyScales, PolicyWeights, SelectionPolicy
from schemas.wire import HEADER_BYTES, Codec
from streams.emit import target_partition

CODEC = Codec(committed())
EVENT_ID_BYTES = 14
TIME_BYTES = 6
"""A time in milliseconds between 1970 and 2039 takes at most this many bytes as a varint."""
STEP_S = 0.01
PROBE_CAPABILITY = "probe"
PROBE_MODEL = "probe-model"


@dataclass(frozen=True, slots=True)
class Stamped:
    """An encoded event without its time, which is put in when it is sent."""

    key: bytes
    head: bytes
    tail: bytes


def varint(value: int) -> bytes:
    """Avro's zigzag varint of a value that is not negative."""
    rest, out = value << 1, bytearray()
    while rest > 127:
        out.append(rest & 127 | 128)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def pool(traffic: Traffic) -> list[Stamped]:
    """The events of the traffic, encoded once. The time follows the event id in InferenceEvent."""
    cut = HEADER_BYTES + EVENT_ID_BYTES
    return [
        Stamped(key, value[:cut], value[cut + TIME_BYTES :])
        for chunk in columns(traffic)
        for key, value in messages(chunk)
    ]


def probe_orgs(partitions: int) -> list[str]:
    """Organisations whose partials go to different partitions: one for each."""
    found: dict[int, str] = {}
    number = 0
    while len(found) < partitions:
        name = f"probe-{number}"
        found.setdefault(target_partition(name, partitions), name)
        number += 1
    return sorted(found.values())


def probe_entities(orgs: Sequence[str]) -> list[Model | SelectionPolicy]:
    """A model and a policy for each: every probe changes a number that is published."""
    entities: list[Model | SelectionPolicy] = []
    for org in orgs:
        entities.append(Model(org, PROBE_MODEL, "1", "bench", (PROBE_CAPABILITY,)))
        entities.append(
            SelectionPolicy(
                org,
                PROBE_CAPABILITY,
                PolicyWeights(),
                PolicyScales(),
                min_samples=1,
                window_minutes=60.0,
                fallback=(PROBE_MODEL,),
            )
        )
    return entities


@dataclass(slots=True)
class Probes:
    """When each probe was sent, and when it was first seen. Times in seconds since 1970."""

    sent_s: dict[str, list[float]]
    seen_s: dict[str, list[float]] = field(init=False)

    def __post_init__(self) -> None:
        self.seen_s = {org: [] for org in self.sent_s}

    def seen(self, org: str, count: int, now_s: float) -> None:
        """Somebody counts this many events of the organisation now."""
        times = self.seen_s.get(org)
        if times is not None:
            times.extend([now_s] * (count - len(times)))

    def delays_ms(self, from_s: float) -> list[float]:
        """Of the probes sent since. A probe that was not seen is an error, not left out.

        Raises RuntimeError then.
        """
        delays = []
        for org, sent in self.sent_s.items():
            seen = self.seen_s[org]
            if len(seen) < len(sent):
                raise RuntimeError(f"{len(sent) - len(seen)} probes of {org} were never seen")
            pairs = zip(sent, seen, strict=False)
            delays += [(there - here) * 1000 for here, there in pairs if here >= from_s]
        return delays


@dataclass(slots=True)
class Stream:
    """Sends events at a rate, with probes; `sent` counts all of them."""

    bootstrap: str
    topic: str
    events: Sequence[Stamped]
    orgs: Sequence[str]
    rate_per_s: int
    probes_per_s: float = 16.0
    sent: int = 0
    sent_s: dict[str, list[float]] = field(init=False)

    def __post_init__(self) -> None:
        self.sent_s = {org: [] for org in self.orgs}

    def run(self, seconds: float, tick: Callable[[float], object]) -> float:
        """Sends for so long, returns the rate; `tick` is told the seconds since its last call."""
        sender = Sender(self.bootstrap, linger_ms=5)
        began = time.time()
        before, at, probes = began, 0, 0
        while (now := time.time()) < began + seconds:
            due = int((now - began) * self.rate_per_s)
            stamp = varint(int(now * 1000))
            for i in range(at, due):
                event = self.events[i % len(self.events)]
                sender.send(self.topic, event.head + stamp + event.tail, event.key)
            at = due
            while probes < (now - began) * self.probes_per_s:
                self._probe(sender, self.orgs[probes % len(self.orgs)])
                probes += 1
            sender.poll()
            tick(now - before)
            before = now
            time.sleep(max(0.0, STEP_S - (time.time() - now)))
        sender.finish()
        self.sent += at + probes
        return (at + probes) / (time.time() - began)

    def _probe(self, sender: Sender, org: str) -> None:
        now_s = time.time()
        record = {
            **_PROBE,
            "event_id": f"{org}-{len(self.sent_s[org])}",
            "org_id": org,
            "occurred_at": int(now_s * 1000),
        }
        sender.send(self.topic, CODEC.encode("InferenceEvent", record), org.encode())
        self.sent_s[org].append(now_s)


_PROBE = {
    "model_id": PROBE_MODEL,
    "model_version": "1",
    "capability": PROBE_CAPABILITY,
    "ab_test_id": None,
    "arm": None,
    "unit_id": "probe",
    "propensity": None,
    "selection_id": None,
    "latency_ms": 100.0,
    "ttft_ms": None,
    "input_tokens": 1,
    "output_tokens": 1,
    "cached_input_tokens": 0,
    "cost_usd": None,
    "quality": None,
    "error_type": None,
}
