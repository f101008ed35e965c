"""`rheostat ab ...`: what the commands need from Kafka and ClickHouse, put together."""

from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from agents.ab_health import Health, judged
from agents.ab_methods import methods, read
from agents.ab_plan import Plan, plan
from agents.ab_results import Results, newest_run, offline, online
from agents.ab_versions import versions, weights_changed
from agents.evaluation.runs import RunsView
from agents.policy.replay import Versions
from agents.registry.verdicts import VerdictView
from agents.reproduce import Reproduction, Where, reproduce
from api.ab_methods import MethodsBody, methods_body
from infra.errors import OperatorError
from infra.settings import Settings
from infra.workers import catalog, kafka_config
from schemas.entities import AbTest
from schemas.evaluations import EvaluationRun
from schemas.records import AbVerdict, RegistryFact
from schemas.wire import Codec
from sinks import ab_history
from sinks.ab_health import measured
from sinks.clickhouse import ClickHouse
from sinks.errors import SinkError
from streams.registry_view import RegistryView
from streams.statistics.estimates import NoEstimate

TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Known:
    """A test as the registry has it, and its newest verdict; None: there is none yet."""

    fact: RegistryFact
    test: AbTest
    verdict: AbVerdict | None


def known(settings: Settings, ab_test_id: str, org_id: str | None) -> Known:
    """From Kafka alone. Raises OperatorError when no test, or several, have this name;
    StreamError when Kafka does not answer."""
    codec, kafka = Codec(catalog(settings)), kafka_config(settings)
    verdicts = VerdictView(kafka, codec)
    verdicts.start()
    with closing(verdicts), RegistryView(kafka, codec) as view:
        facts = [
            (fact, fact.entity)
            for fact in view.wait_loaded(TIMEOUT_S).ab_tests.values()
            if isinstance(fact.entity, AbTest)
            and fact.entity.ab_test_id == ab_test_id
            and org_id in (None, fact.entity.org_id)
        ]
        verdicts.wait_loaded(TIMEOUT_S)
        latest = verdicts.latest()
    if not facts:
        whose = "" if org_id is None else f" of {org_id}"
        raise OperatorError(
            f"The registry has no A/B test{whose} named {ab_test_id}. See: rheostat registry export"
        )
    if len(facts) > 1:
        orgs = ", ".join(sorted(test.org_id for _, test in facts))
        raise OperatorError(f"{orgs} have an A/B test named {ab_test_id} each: add --org.")
    ((fact, test),) = facts
    return Known(fact, test, latest.get((test.org_id, test.ab_test_id)))


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown of a test. `unknown`: what could not be read, and why."""

    found: Known
    results: Results
    unknown: str | None = None


def results(settings: Settings, found: Known) -> Shown:
    """The newest verdict and what belongs beside it: of an offline test the paired analysis of its
    cases, of one whose weights changed the differences by periods. Raises StreamError."""
    test = found.test
    try:
        with closing(_clickhouse(settings)) as clickhouse:
            if test.mode == "online":
                return Shown(found, online(clickhouse, test, found.verdict))
            run, now = _newest_run(settings, test), datetime.now(UTC)
            return Shown(found, offline(clickhouse, test, run, found.verdict, now))
    except SinkError as error:
        return Shown(found, Results(found.verdict), f"The cases are not known: {error}")


def _newest_run(settings: Settings, test: AbTest) -> EvaluationRun | None:
    with RunsView(kafka_config(settings), Codec(catalog(settings))) as runs:
        return newest_run(runs.wait_loaded(TIMEOUT_S).values(), test)


def reproduced(settings: Settings, found: Known, ask_clickhouse: bool = True) -> Reproduction:
    """The newest verdict, computed again. Raises OperatorError without one; AgentError, SinkError,
    StreamError."""
    verdict = _verdict_of(found)
    clickhouse = _clickhouse(settings)
    with closing(clickhouse):
        asked = clickhouse if ask_clickhouse else None
        where = Where(kafka_config(settings), Codec(catalog(settings)), asked)
        return reproduce(where, verdict, _versions(asked, found))


def health(settings: Settings, found: Known) -> Health | NoEstimate:
    """Whether the test is sound, from ClickHouse; why that is not known, if it is not."""
    try:
        with closing(_clickhouse(settings)) as clickhouse:
            changed = weights_changed(clickhouse, found.test)
            numbers = measured(clickhouse, found.test, changed)
    except SinkError as error:
        return NoEstimate(str(error))
    return judged(found.test, found.verdict, numbers, datetime.now(UTC))


def methods_of(settings: Settings, found: Known, metric: str | None) -> MethodsBody:
    """What other methods say of a test, or of one metric; why nothing. Raises SinkError."""
    test, now = found.test, datetime.now(UTC)
    with closing(_clickhouse(settings)) as clickhouse:
        numbers = read(clickhouse, test)
    said = numbers if isinstance(numbers, NoEstimate) else methods(test, numbers, now)
    return methods_body(test, said, now, metric)


def timeline(settings: Settings, found: Known, points: int) -> list[AbVerdict]:
    """Verdicts since the first one, at most about `points`, oldest first. Raises SinkError."""
    test, until = found.test, datetime.now(UTC) + timedelta(seconds=1)
    with closing(_clickhouse(settings)) as clickhouse:
        return ab_history.timeline(clickhouse, test.org_id, test.ab_test_id, until, points)


def planned(settings: Settings, found: Known, power: float) -> list[Plan]:
    """What it takes, and how long, by primary metric. Raises OperatorError without a verdict."""
    if found.test.mode == "offline":
        found = replace(found, verdict=results(settings, found).results.verdict)
    return plan(found.test, _verdict_of(found), power)


def _verdict_of(found: Known) -> AbVerdict:
    if found.verdict is None and found.test.mode == "offline":
        raise OperatorError(
            f"{found.test.ab_test_id} is an offline test: its verdict is made of cases when it is "
            f"asked for, and is not kept. See: rheostat ab results {found.test.ab_test_id}"
        )
    if found.verdict is None:
        raise OperatorError(
            f"{found.test.ab_test_id} has no verdict yet: its status is {found.test.status}, and "
            "verdicts come with the first calls that carry ab_test_id and arm. Do the agents run?"
        )
    return found.verdict


def _versions(clickhouse: ClickHouse | None, found: Known) -> Versions:
    """As far as ClickHouse remembers them; the present one is always known."""
    known = {found.fact.version: found.test}
    if clickhouse is not None:
        with suppress(SinkError):
            known = {each.number: each.test for each in versions(clickhouse, found.test)} | known
    return Versions(known, found.test)


def _clickhouse(settings: Settings) -> ClickHouse:
    return ClickHouse(settings.clickhouse, timeout_s=60.0)
