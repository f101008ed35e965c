"""Cases at hand for the planner: pages of datasets, read from ClickHouse in a thread of its own.

Memory is bounded: of each run a page that is used and the one after it, each of PAGE_BYTES at most
(or a single case).
"""

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import structlog

from agents.evaluation.datasets.errors import DatasetError
from agents.evaluation.datasets.reader import DatasetReader
from agents.evaluation.planner.supply import Asked, Problem, Sourced, Stored, Want
from schemas.evaluations import DatasetCase
from sinks.answers import stored_answers
from sinks.clickhouse import ClickHouse
from sinks.errors import SinkError
from streams.lifecycle import Startable

PAGE_BYTES = 1024 * 1024
PAGE_CASES = 1000
RETRY_S = 1.0
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Page:
    """Consecutive cases from number `start` on."""

    start: int
    cases: Sequence[Sourced]

    @property
    def end(self) -> int:
        return self.start + len(self.cases)

    def get(self, number: int) -> Sourced | None:
        within = self.start <= number < self.end
        return self.cases[number - self.start] if within else None


class Pages(Startable):
    """A Supply. `case` and `problem` never block; `connect` makes the thread's connection."""

    def __init__(self, connect: Callable[[], ClickHouse]) -> None:
        self._connect = connect
        self._pages: dict[str, tuple[_Page, ...]] = {}
        self._wants: dict[str, tuple[Want, int]] = {}
        self._problems: dict[str, Problem] = {}
        self._changed = threading.Condition()
        self._stop = False
        self._thread = threading.Thread(target=self._run, name="planner-pages", daemon=True)

    def start(self) -> Self:
        """Begins to read what is asked for."""
        self._thread.start()
        return self

    def close(self) -> None:
        """Ends the thread; not while it waits for ClickHouse."""
        with self._changed:
            self._stop = True
            self._changed.notify_all()
        self._thread.join(timeout=10)

    def case(self, want: Want, number: int) -> Sourced | None:
        with self._changed:
            pages = self._pages.get(want.run_id, ())
            page = next((p for p in pages if p.get(number) is not None), None)
            if page is None:
                self._ask(want, number)
                return None
            # The next page comes while this one is used. After the last case the first follows.
            following = page.end % want.cases
            if number >= (page.start + page.end) // 2 and all(
                p.get(following) is None for p in pages
            ):
                self._ask(want, following)
            return page.get(number)

    def problem(self, run_id: str) -> Problem | None:
        with self._changed:
            return self._problems.get(run_id)

    def keep(self, run_ids: Collection[str]) -> None:
        """Lets go of what other runs had."""
        with self._changed:
            self._pages = {r: pages for r, pages in self._pages.items() if r in run_ids}
            self._wants = {r: want for r, want in self._wants.items() if r in run_ids}
            self._problems = {r: found for r, found in self._problems.items() if r in run_ids}

    def _ask(self, want: Want, number: int) -> None:
        self._wants[want.run_id] = (want, number)
        self._changed.notify_all()

    def _run(self) -> None:
        clickhouse = self._connect()
        reader = DatasetReader(clickhouse)
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stop or self._wants)
                if self._stop:
                    break
                run_id, (want, number) = next(iter(self._wants.items()))
                del self._wants[run_id]
            try:
                page, problem = _Page(number, _read(reader, want, number)), None
            except DatasetError as error:
                page, problem = None, Problem(str(error), passing=False)
            except SinkError as error:
                page, problem = None, Problem(f"ClickHouse: {error}", passing=True)
            self._put(want, page, problem)
        clickhouse.close()

    def _put(self, want: Want, page: _Page | None, problem: Problem | None) -> None:
        with self._changed:
            if page is not None:
                # The newest of the others is the one in use.
                self._pages[want.run_id] = (*self._pages.get(want.run_id, ())[-1:], page)
                self._problems.pop(want.run_id, None)
            elif problem is not None:
                log.warning("cases cannot be read", run=want.run_id, error=problem.text)
                self._problems[want.run_id] = problem
                self._changed.wait_for(lambda: self._stop, RETRY_S)


def _read(reader: DatasetReader, want: Want, number: int) -> list[Sourced]:
    """At least one case, unless there is none. Raises DatasetError, SinkError."""
    cases: list[DatasetCase] = []
    size = 0
    for case in reader.cases(
        want.org_id, want.dataset_id, want.dataset_version, want.split, number
    ):
        size += len(case.fields)
        if cases and (size > PAGE_BYTES or len(cases) == PAGE_CASES):
            break
        cases.append(case)
    answers: Mapping[str, Mapping[Asked, Stored]] = {}
    if want.rescore_of is not None:
        answers = _answers(reader.clickhouse, want, want.rescore_of, cases)
    return [Sourced(case, answers.get(case.case_id, {})) for case in cases]


def _answers(
    clickhouse: ClickHouse, want: Want, run_id: str, cases: Sequence[DatasetCase]
) -> dict[str, dict[Asked, Stored]]:
    found: dict[str, dict[Asked, Stored]] = {}
    ids = [case.case_id for case in cases]
    for each in stored_answers(clickhouse, want.org_id, run_id, ids):
        asked = Asked(each.epoch, each.model_id, each.model_version)
        stored = Stored(each.output, each.suite_id, each.suite_version, each.scores)
        found.setdefault(each.case_id, {})[asked] = stored
    return found
