"""`rheostat ab discoveries` and `evidence`: what they need from Kafka and ClickHouse."""

from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime

from agents.ab_discoveries import AllTests, all_tests
from agents.evaluation.runs import RunsView
from agents.policy.joint_evidence import Joint, Judged, NothingInCommon, joint
from infra.ab import TIMEOUT_S, known, results
from infra.errors import OperatorError
from infra.settings import Settings
from infra.workers import catalog, kafka_config
from schemas.entities import AbTest
from schemas.evaluations import EvaluationRun
from schemas.wire import Codec
from sinks.clickhouse import ClickHouse
from streams.registry_view import RegistryView


def everything(settings: Settings, org_id: str | None) -> tuple[str, AllTests]:
    """The organisation that is meant, and its tests. Raises OperatorError when several could be
    meant or there is none; StreamError, SinkError when Kafka or ClickHouse does not answer."""
    codec, kafka = Codec(catalog(settings)), kafka_config(settings)
    with RegistryView(kafka, codec) as view:
        tests = list(view.wait_loaded(TIMEOUT_S).entities(AbTest))
    meant = _organisation(tests, org_id)
    mine = [test for test in tests if test.org_id == meant]
    runs: list[EvaluationRun] = []
    if any(test.mode == "offline" for test in mine):
        with RunsView(kafka, codec) as view_of_runs:
            runs = list(view_of_runs.wait_loaded(TIMEOUT_S).values())
    with closing(ClickHouse(settings.clickhouse, timeout_s=60.0)) as clickhouse:
        return meant, all_tests(clickhouse, meant, mine, runs, datetime.now(UTC))


def _organisation(tests: Iterable[AbTest], org_id: str | None) -> str:
    if org_id is not None:
        return org_id
    orgs = sorted({test.org_id for test in tests})
    if not orgs:
        raise OperatorError(
            "The registry has no A/B test, so there is nothing to decide between. "
            "See: rheostat registry apply --help"
        )
    if len(orgs) > 1:
        raise OperatorError(
            f"{', '.join(orgs)} have A/B tests, and false discoveries are counted within one "
            "organisation: add --org."
        )
    return orgs[0]


def together(
    settings: Settings,
    names: tuple[str, str],
    org_id: str | None,
    metric: str | None,
    independent: bool | None,
) -> Joint:
    """The evidence of two tests of one organisation. Raises OperatorError when one is not known,
    has no verdict, or they have nothing in common; StreamError."""
    mine = _judged(settings, names[0], org_id)
    other = _judged(settings, names[1], mine.test.org_id)
    try:
        return joint(mine, other, metric, independent)
    except NothingInCommon as error:
        raise OperatorError(f"{error}.") from error


def _judged(settings: Settings, name: str, org_id: str | None) -> Judged:
    shown = results(settings, known(settings, name, org_id))
    test, verdict = shown.found.test, shown.results.verdict
    if verdict is None:
        why = shown.unknown or f"it is {test.status}, and nothing of it has been judged"
        raise OperatorError(f"{name} has no verdict yet: {why}. See: rheostat ab results {name}")
    return Judged(test, verdict)
