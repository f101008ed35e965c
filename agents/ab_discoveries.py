"""The A/B tests of an organisation with their newest verdicts, for whoever looks at all of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from agents import ab_results
from agents.ab_results import newest_run
from agents.policy.discoveries import Begun
from schemas.entities import AbTest
from schemas.evaluations import EvaluationRun
from sinks.clickhouse import ClickHouse
from sinks.reader import Reader


@dataclass(frozen=True, slots=True)
class AllTests:
    """`begun`: those with a verdict, deleted ones too, since to leave out what was tested would
    make the rest look better. `without_verdict`: names of those that are no drafts, and have none.
    """

    begun: tuple[Begun, ...]
    without_verdict: tuple[str, ...]


def all_tests(
    clickhouse: ClickHouse,
    org_id: str,
    tests: Sequence[AbTest],
    runs: Iterable[EvaluationRun],
    now: datetime,
) -> AllTests:
    """`tests`: the organisation's, of the registry. An online test begins with its first call, an
    offline one, whose verdict is made of its cases now, with its first run. Raises Backpressure,
    SinkBroken."""
    stored = {each.ab_test_id: each for each in Reader(clickhouse).latest_verdicts(org_id)}
    known = list(runs)
    begun = {name: Begun(each.started_at, each) for name, each in stored.items()}
    for test in tests:
        if test.mode != "offline" or test.status == "draft":
            continue
        name = test.ab_test_id
        mine = newest_run(known, test)
        verdict = ab_results.offline(clickhouse, test, mine, stored.get(name), now).verdict
        if verdict is not None:
            begun[name] = Begun(_first(known, test), verdict)
    waiting = {test.ab_test_id for test in tests if test.status != "draft"} - begun.keys()
    return AllTests(tuple(begun.values()), tuple(sorted(waiting)))


def _first(runs: Iterable[EvaluationRun], test: AbTest) -> datetime | None:
    of_test = (
        run.requested_at
        for run in runs
        if (run.org_id, run.spec.ab_test_id) == (test.org_id, test.ab_test_id)
    )
    return min(of_test, default=None)
