"""Any order of requests, results, repetitions and crashes ends with each case asked once, and exact
counts."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from agents.evaluation.planner.places import PlaceSet, place_at
from agents.evaluation.planner.release import Limits
from schemas.evaluations import CaseResult, EvaluationRun
from tests.support.runs import Bench, ask, result, spec

ACTIONS = ("pause", "resume", "cancel", "retry", "start", "nothing")


@st.composite
def histories(draw: st.DrawFn) -> list[dict[str, object]]:
    """What happens in each round. `crash`: the round is lost before it is committed."""
    step = st.fixed_dictionaries(
        {
            "action": st.sampled_from(ACTIONS),
            "run": st.sampled_from(["r1", "r2"]),
            "repeat": st.booleans(),
            "crash": st.booleans(),
            "answers": st.lists(st.tuples(st.integers(0, 50), st.booleans()), max_size=8),
            "twice": st.booleans(),
            "after_s": st.sampled_from([0.0, 0.1, 20.0]),
        }
    )
    return draw(st.lists(step, max_size=25))


@given(
    history=histories(),
    window=st.integers(1, 9),
    epochs=st.integers(1, 3),
    total=st.integers(2, 12),
)
@settings(deadline=None, max_examples=150)
def test_every_case_is_asked_once_and_counted_once(
    history: list[Mapping[str, object]], window: int, epochs: int, total: int
) -> None:
    bench = Bench(limits=Limits(run_outstanding=window, outstanding=total))
    starts = [ask("start", run, spec=spec(epochs=epochs)) for run in ("r1", "r2")]
    bench.round(*starts)
    held: list[CaseResult] = []
    seen, bad = 0, Counter[str]()
    last = starts[0]
    for step in history:
        held += [result(c) for c in bench.cases[seen:]]
        seen = len(bench.cases)
        now: list[CaseResult] = []
        for at, good in step["answers"]:  # type: ignore[attr-defined]
            if held:
                found = held.pop(at % len(held))
                bad[found.run_id] += not good
                now.append(found if good else _bad(found))
        if step["twice"]:
            now += now
        requests = []
        if step["action"] != "nothing":
            request = ask(step["action"], step["run"], spec=spec(epochs=epochs))  # type: ignore[arg-type]
            requests = [last if step["repeat"] else request]
            last = requests[0]
        before = dict(bench.runs), len(bench.cases), bench.now
        after_s: float = step["after_s"]  # type: ignore[assignment]
        bench.round(*requests, results=now, after_s=after_s)
        if step["crash"]:
            lost = bench.cases[before[1] :]
            bench.runs, bench.now = before[0], before[2]
            del bench.cases[before[1] :]
            bench.round(*requests, results=now, after_s=after_s)
            assert bench.cases[before[1] :] == lost
        for run in bench.runs.values():
            _check(run, window)
        if len(bench.cases) > before[1]:
            called = (r for r in bench.runs.values() if r.state in ("running", "cancelling"))
            assert sum(len(r.outstanding) for r in called) <= total
    _drain(bench, held, seen)
    for run_id, run in bench.runs.items():
        if run.state == "completed":
            asked = Counter(
                (c.case_id, c.epoch, c.model_id) for c in bench.cases if c.run_id == run_id
            )
            assert len(asked) == run.planned
            assert run.finished == run.planned
            assert (run.passed, run.errors) == (run.planned, 0)
            repeated = sum(asked.values()) - len(asked)
            assert repeated == bad[run_id]


def _bad(found: CaseResult) -> CaseResult:
    return replace(found, error_type="timeout", passed=False)


def _check(run: EvaluationRun, window: int) -> None:
    assert len(run.outstanding) <= window
    places = [each.place for each in run.outstanding]
    assert len(set(places)) == len(places)
    assert run.finished == sum(m.finished for m in run.models)
    assert run.errors == len(PlaceSet.from_bytes(run.failed_places))
    assert run.passed + run.errors == run.finished
    again = len(PlaceSet.from_bytes(run.again_places))
    assert run.released == run.finished + len(places) + again
    assert sum(m.released for m in run.models) == run.released
    for each in run.outstanding:
        assert f"q{place_at(each.place, run.cases, len(run.models)).case}" == each.case_id


def _drain(bench: Bench, held: list[CaseResult], seen: int) -> None:
    """Retries and answers everything, until every run that ever began is complete."""
    held += [result(c) for c in bench.cases[seen:]]
    seen = len(bench.cases)
    for _ in range(200):
        asks = [
            ask("resume" if run.state == "paused" else "retry", run_id)
            for run_id, run in bench.runs.items()
            if run.state in ("paused", "cancelled", "failed") or (run.errors and not held)
        ]
        now, held[:] = list(held), []
        bench.round(*asks, results=now, after_s=20.0)
        held += [result(c) for c in bench.cases[seen:]]
        seen = len(bench.cases)
        if all(r.state == "completed" and not r.errors for r in bench.runs.values()):
            return
    raise AssertionError(bench.runs)
