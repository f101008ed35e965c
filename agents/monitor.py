"""The A/B monitor: sums and a remembered decision for every online test of the registry."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol

import orjson
import polars as pl

from agents.book import Entry, Message, Publication
from agents.policy.alerts import srm_alert
from schemas.entities import AbTest
from schemas.records import AbVerdict
from schemas.topics import Topic
from streams.registry_view import RegistrySnapshot

NUMBERS_EVERY_S = 1.0
FOLLOWED = ("running",)
"""Traffic of a test in another status is not part of it. Verdicts of stopped ones still go out."""


class Statistics(Protocol):
    """The pure statistics behind the monitor. States are values: functions return new ones."""

    def zero(self, test: AbTest) -> Any:
        """The state of a test that saw nothing."""
        ...

    def apply(self, state: Any, test: AbTest, rows: pl.DataFrame) -> Any:
        """The state with the rows of one message: tidy without sketches, of this test only."""
        ...

    def judge(self, state: Any, test: AbTest, now: datetime) -> tuple[Any, AbVerdict]:
        """The verdict, and the state that remembers what it decided."""
        ...

    def dump(self, state: Any) -> Mapping[str, Any]:
        """The state as JSON values."""
        ...

    def load(self, value: Mapping[str, Any]) -> Any:
        """The inverse of `dump`."""
        ...


class TrialKey(NamedTuple):
    """An A/B test of an organisation."""

    org_id: str
    ab_test_id: str


@dataclass(slots=True)
class _Trial:
    """One test. `offset`: of the last message that the state contains."""

    state: Any
    offset: int = -1
    touched: bool = True
    unsaved: bool = False
    published: datetime | None = None
    shown: tuple[object, ...] = ()
    alerted: bool = False
    settled: bool = False
    """What matters is decided: numbers can wait for their turn."""


class Monitor:
    """Book of A/B tests. Tests that the registry does not know are not followed."""

    name = "monitor"

    def __init__(self, registry: Callable[[], RegistrySnapshot], statistics: Statistics) -> None:
        self._registry = registry
        self._statistics = statistics
        self._snapshot: RegistrySnapshot | None = None
        self._tests: dict[TrialKey, AbTest] = {}
        self._trials: dict[int, dict[TrialKey, _Trial]] = {}

    def load(self, partition: int, entries: Iterable[tuple[bytes, bytes]]) -> None:
        trials: dict[TrialKey, _Trial] = {}
        for raw_key, raw_value in entries:
            value = orjson.loads(raw_value)
            trials[TrialKey(*orjson.loads(raw_key))] = _Trial(
                state=self._statistics.load(value["state"]),
                offset=value["offset"],
                alerted=value["alerted"],
            )
        self._trials[partition] = trials

    def drop(self, partition: int) -> None:
        self._trials.pop(partition, None)

    def apply(self, message: Message, now: datetime) -> bool:  # noqa: ARG002  Book's signature
        self._refresh()
        trials = self._trials.setdefault(message.partition, {})
        fresh = False
        for key, test, rows in self._rows(message.partials.frame):
            trial = trials.get(key) or _Trial(self._statistics.zero(test))
            trials[key] = trial
            if trial.offset < message.offset:
                trial.state = self._statistics.apply(trial.state, test, rows)
                trial.offset = message.offset
                trial.touched = trial.unsaved = fresh = True
        return fresh

    def decide(self, now: datetime) -> Sequence[Publication]:
        self._refresh()
        return [
            publication
            for partition, trials in self._trials.items()
            for key, trial in trials.items()
            if trial.touched and key in self._tests
            for publication in self._consider(partition, key, trial, now)
        ]

    def unsaved(self, partition: int) -> Sequence[Entry]:
        found = [
            self._entry(key, trial)
            for key, trial in self._trials.get(partition, {}).items()
            if trial.unsaved
        ]
        for trial in self._trials.get(partition, {}).values():
            trial.unsaved = False
        return found

    def size(self) -> int:
        return sum(len(trials) for trials in self._trials.values())

    def _refresh(self) -> None:
        snapshot = self._registry()
        if snapshot is self._snapshot:
            return
        self._snapshot = snapshot
        tests = (f.entity for f in snapshot.ab_tests.values() if isinstance(f.entity, AbTest))
        self._tests = {TrialKey(t.org_id, t.ab_test_id): t for t in tests}
        for trials in self._trials.values():
            for trial in trials.values():
                trial.touched = True

    def _rows(self, frame: pl.DataFrame) -> Iterator[tuple[TrialKey, AbTest, pl.DataFrame]]:
        """The production rows of each test that is followed."""
        tested = frame.filter((pl.col("ab_test_id") != "") & (pl.col("source") == "production"))
        if not tested.height:
            return
        # Sorted once, tests are slices: gathering each one's rows costs more than adding them.
        ordered = tested.drop("bins", "counts").sort("org_id", "ab_test_id")
        starts = ordered.select("org_id", "ab_test_id", pl.len().over("org_id", "ab_test_id"))
        begin = 0
        while begin < ordered.height:
            org_id, ab_test_id, length = starts.row(begin)
            key = TrialKey(org_id, ab_test_id)
            test = self._tests.get(key)
            if test is not None and test.status in FOLLOWED:
                yield key, test, ordered.slice(begin, length)
            begin += length

    def _consider(
        self, partition: int, key: TrialKey, trial: _Trial, now: datetime
    ) -> Iterator[Publication]:
        last = trial.published
        soon = last is not None and (now - last).total_seconds() < NUMBERS_EVERY_S
        if soon and trial.settled:
            return
        state, verdict = self._statistics.judge(trial.state, self._tests[key], now)
        shown = _relevant(verdict)
        if soon and shown == trial.shown:
            return
        trial.state, trial.shown, trial.published, trial.touched = state, shown, now, False
        trial.settled = verdict.status in ("decided", "invalid")
        stored = self._entry(key, trial)
        yield Publication(partition, stored, Topic.AB_VERDICTS, key.ab_test_id, verdict)
        if verdict.status == "invalid" and not trial.alerted:
            # Remembered with the next checkpoint, which is after it is published.
            trial.alerted = trial.unsaved = True
            raised = srm_alert(verdict, now)
            yield Publication(partition, stored, Topic.ALERTS, key.org_id, raised)

    def _entry(self, key: TrialKey, trial: _Trial) -> Entry:
        value = {
            "offset": trial.offset,
            "alerted": trial.alerted,
            "state": self._statistics.dump(trial.state),
        }
        return Entry(orjson.dumps(list(key)), orjson.dumps(value))


def _relevant(verdict: AbVerdict) -> tuple[object, ...]:
    """What a reader would act on: everything but the numbers."""
    return (
        verdict.status,
        verdict.winner,
        verdict.decision,
        *((c.metric, c.arm, c.verdict) for c in verdict.comparisons),
    )
