"""The cases at hand, each a task of the event loop: waiting for its time, executed, or dropped."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from agents.evaluation.runner.answering import Attempt
from agents.evaluation.runner.execution import Deferred, Ending, Execution, Finished, unanswered
from agents.evaluation.runner.failures import CallFailed
from agents.evaluation.runner.outgoing import Partition, Place, Work, ending_name
from schemas.evaluations import EvaluationCase, RunState
from streams import telemetry

PARK_S = 60.0
"""How long a case waits here for its time or its run. Then it goes around by evaluation-retries, so
that it does not hold its partition's offset."""
PAUSED_S = 30.0
LOOK_S = 0.5
"""How often a waiting case looks at the state of its run, and the desk at those that are called."""
STOPPED: tuple[RunState, ...] = ("cancelling", "cancelled", "failed")
StateOf = Callable[[str], RunState | None]


@dataclass(slots=True)
class Held:
    """A case at hand. `cancelled`: its run was, so its task ends with a result that says so.

    `execution`: the part of `task` that asks, which a pause calls back alone.
    """

    work: Work
    attempt: Attempt
    task: "asyncio.Task[None] | None" = None
    execution: "asyncio.Task[Ending] | None" = None
    cancelled: bool = False


@dataclass(slots=True)
class Desk:
    """One event loop's. `ended` is told what became of each case that was not dropped.

    `failure`: a bug of ours, or something that only a new process can cure.
    """

    execution: Execution
    state_of: StateOf
    ended: Callable[[Place, Ending], None]
    failure: BaseException | None = None
    _held: dict[Place, Held] = field(default_factory=dict)

    def take(self, works: Sequence[Work]) -> None:
        """Begins with these cases."""
        for work in works:
            held = Held(work, Attempt(work.case, work.calls))
            self._held[work.place] = held
            held.task = asyncio.get_running_loop().create_task(self._run(held))

    async def leave(self, partitions: frozenset[Partition], grace_s: float) -> None:
        """Drops what has not been called, waits for the rest, and drops what takes too long."""
        mine = self._of(partitions)
        called = [held for held in mine if held.attempt.running]
        await _drop(held for held in mine if not held.attempt.running)
        tasks = {held.task for held in called if held.task is not None}
        if tasks:
            await asyncio.wait(tasks, timeout=grace_s)
        await _drop(called)

    async def lose(self, partitions: frozenset[Partition]) -> None:
        """Drops all cases of these partitions."""
        await _drop(self._of(partitions))

    async def watch(self) -> None:
        """Stops the cases of cancelled runs, until it is cancelled itself.

        Of paused runs it calls back those that wait to be called: calls under way go on.
        """
        while True:
            runs = {held.work.case.run_id for held in self._held.values()}
            states = {run_id: self.state_of(run_id) for run_id in runs}
            for held in list(self._held.values()):
                state = states[held.work.case.run_id]
                if state in STOPPED and not held.cancelled:
                    held.cancelled = True
                    if held.task is not None:
                        held.task.cancel()
                elif state == "paused" and held.execution and not held.attempt.running:
                    held.execution.cancel()
            await asyncio.sleep(LOOK_S)

    def _of(self, partitions: frozenset[Partition]) -> list[Held]:
        return [held for place, held in self._held.items() if place.where in partitions]

    async def _run(self, held: Held) -> None:
        place = held.work.place
        try:
            ending = await self._ending(held)
        except asyncio.CancelledError:
            self._held.pop(place, None)
            if not held.cancelled:
                raise
            ending = _cancelled(held.attempt)
        except BaseException as error:
            self._held.pop(place, None)
            self.failure = self.failure or error
            return
        self._held.pop(place, None)
        telemetry.CASES.labels(ending_name(ending)).inc()
        self.ended(place, ending)

    async def _ending(self, held: Held) -> Ending:
        while True:
            ending = await self._until_due(held.attempt)
            if ending is not None:
                return ending
            loop = asyncio.get_running_loop()
            held.execution = loop.create_task(self.execution.execute(held.attempt))
            try:
                return await held.execution
            except asyncio.CancelledError:
                if held.task is not None and held.task.cancelling():
                    raise  # the case is dropped, not only called back
            finally:
                held.execution = None

    async def _until_due(self, attempt: Attempt) -> Ending | None:
        """None: the case may be executed now."""
        case, waited_s = attempt.case, 0.0
        while True:
            state = self.state_of(case.run_id)
            if state in STOPPED:
                return _cancelled(attempt)
            wait_s = LOOK_S if state == "paused" else _until(case)
            if wait_s <= 0:
                return None
            if waited_s >= PARK_S:
                return Deferred(_parked(case, paused=state == "paused"), attempt.calls)
            wait_s = min(wait_s, PARK_S)
            await asyncio.sleep(wait_s)
            waited_s += wait_s


def _until(case: EvaluationCase) -> float:
    if case.not_before is None:
        return 0.0
    return (case.not_before - datetime.now(UTC)).total_seconds()


def _parked(case: EvaluationCase, paused: bool) -> EvaluationCase:
    """As it was: waiting is no attempt."""
    if not paused:
        return case
    return replace(case, not_before=datetime.now(UTC) + timedelta(seconds=PAUSED_S))


def _cancelled(attempt: Attempt) -> Finished:
    failed = CallFailed("cancelled", "the run was cancelled before the case had an answer")
    return Finished(unanswered(attempt.case, failed, attempt.calls))


async def _drop(those: Iterable[Held]) -> None:
    """Cancels, and returns when the tasks have ended: nobody works on these cases then."""
    tasks = {held.task for held in those if held.task is not None and not held.task.done()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
