"""The A/B monitor: sums and a remembered decision for every online test of the registry."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
import polars as pl

from agents.ab_parts import Followed, NoUnits, Statistics, TrialKey, Units
from agents.book import Entry, Message, Publication
from agents.policy import reweigh
from agents.policy.alerts import srm_alert
from agents.policy.sources import Position
from agents.policy.units import UnitFindings
from schemas.entities import AbTest
from schemas.records import AbVerdict, RegistryFact
from schemas.topics import Topic
from streams.registry_view import RegistrySnapshot

NUMBERS_EVERY_S = 1.0
FOLLOWED = ("running",)
"""Traffic of a test in another status is not part of it. Verdicts of stopped ones still go out."""


Published = Mapping[tuple[str, str], AbVerdict]
"""The newest verdict of each (org_id, ab_test_id), whoever wrote it."""


@dataclass(slots=True)
class _Trial:
    """One test. `offset`: of the last message that the state contains. `units`: as last judged."""

    state: Any
    offset: int = -1
    touched: bool = True
    unsaved: bool = False
    published: datetime | None = None
    shown: tuple[object, ...] = ()
    alerted: bool = False
    settled: bool = False
    """What matters is decided: numbers can wait for their turn."""
    units: UnitFindings | None = None
    wakes_at: datetime | None = None
    weighed_at: datetime | None = None


class Monitor:
    """Book of A/B tests. Tests that the registry does not know are not followed."""

    name = "monitor"

    def __init__(
        self,
        registry: Callable[[], RegistrySnapshot],
        statistics: Statistics,
        units: Units | None = None,
        published: Callable[[], Published] = dict,
    ) -> None:
        self._registry = registry
        self._statistics = statistics
        self._units = units or NoUnits()
        self._published = published
        self._snapshot: RegistrySnapshot | None = None
        self._facts: dict[TrialKey, RegistryFact] = {}
        self._tests: dict[TrialKey, AbTest] = {}
        self._told_at: datetime | None = None
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
                at = Position(message.partition, message.offset, self._facts[key].version)
                trial.state = self._statistics.apply(trial.state, test, rows, at)
                trial.offset = message.offset
                trial.touched = trial.unsaved = fresh = True
        return fresh

    def decide(self, now: datetime) -> Sequence[Publication]:
        self._refresh()
        self._tell(now)
        self._adopt()
        return [
            publication
            for partition, trials in self._trials.items()
            for key, trial in trials.items()
            if key in self._tests and self._due(key, trial, now)
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
        before = self._facts
        facts = {
            TrialKey(f.entity.org_id, f.entity.ab_test_id): f
            for f in snapshot.ab_tests.values()
            if isinstance(f.entity, AbTest)
        }
        self._facts = facts
        self._tests = {k: f.entity for k, f in facts.items() if isinstance(f.entity, AbTest)}
        for trials in self._trials.values():
            for key, trial in trials.items():
                trial.touched = trial.touched or facts.get(key) is not before.get(key)

    def _tell(self, now: datetime) -> None:
        """Says, once in NUMBERS_EVERY_S, which tests the sums by unit are wanted of."""
        if self._told_at is not None and (now - self._told_at).total_seconds() < NUMBERS_EVERY_S:
            return
        self._told_at = now
        wanted = []
        for trials in self._trials.values():
            for key, trial in trials.items():
                test = self._tests.get(key)
                if test is None or not _asked_for(test):
                    continue
                began_at = self._statistics.began_at(trial.state)
                if began_at is not None:
                    wanted.append(Followed(key, test, began_at))
        self._units.follow(wanted)

    def _adopt(self) -> None:
        """Takes over what people decided."""
        for key, verdict in self._published().items():
            if verdict.decided_by is None:
                continue
            for trials in self._trials.values():
                trial = trials.get(TrialKey(*key))
                if trial is not None:
                    state = self._statistics.adopt(trial.state, verdict)
                    if state is not trial.state:
                        trial.state, trial.touched, trial.unsaved = state, True, True

    def _due(self, key: TrialKey, trial: _Trial, now: datetime) -> bool:
        """Whether anything that a verdict rests on has changed."""
        if trial.touched or trial.units is not self._units.latest(key):
            return True
        return trial.wakes_at is not None and now >= trial.wakes_at

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
        test, units = self._tests[key], self._units.latest(key)
        state, verdict = self._statistics.judge(trial.state, test, now, units)
        shown = _relevant(verdict)
        if soon and shown == trial.shown:
            return
        trial.state, trial.shown, trial.published, trial.touched = state, shown, now, False
        trial.units, trial.wakes_at = units, self._statistics.wakes_at(state, test)
        trial.settled = verdict.status in ("decided", "invalid")
        stored = self._entry(key, trial)
        yield Publication(partition, stored, Topic.AB_VERDICTS, key.ab_test_id, verdict)
        if verdict.status == "invalid" and not trial.alerted:
            # Remembered with the next checkpoint, which is after it is published.
            trial.alerted = trial.unsaved = True
            raised = srm_alert(verdict, now)
            yield Publication(partition, stored, Topic.ALERTS, key.org_id, raised)
        fact = self._facts[key]
        if reweigh.due(fact, test, verdict, trial.weighed_at, now):
            # Not remembered beyond this process: the registry refuses an outdated version.
            trial.weighed_at = now
            command = reweigh.reweighed(fact, test, verdict, now)
            if command is not None:
                yield Publication(partition, stored, Topic.REGISTRY_COMMANDS, test.key, command)

    def _entry(self, key: TrialKey, trial: _Trial) -> Entry:
        value = {
            "offset": trial.offset,
            "alerted": trial.alerted,
            "state": self._statistics.dump(trial.state),
        }
        return Entry(orjson.dumps(list(key)), orjson.dumps(value))


def _asked_for(test: AbTest) -> bool:
    """Whether sums by unit say anything: to warn while it runs, as its numbers also later."""
    if test.status in FOLLOWED:
        return True
    return test.analysis == "units" and test.status in ("paused", "stopped")


def _relevant(verdict: AbVerdict) -> tuple[object, ...]:
    """What a reader would act on: everything but the numbers."""
    return (
        verdict.status,
        verdict.winner,
        verdict.decision,
        verdict.recommendation,
        verdict.decided_by,
        verdict.warning is None,
        *((c.metric, c.arm, c.verdict) for c in verdict.comparisons),
    )
