"""Evidence of several A/B tests: which of all are discoveries, and two of one comparison."""

from typing import Annotated

from fastapi import APIRouter, Query

from agents.ab_discoveries import AllTests, all_tests
from agents.policy.discoveries import Procedure
from agents.policy.joint_evidence import Judged, NothingInCommon, joint
from api.ab_evidence import DiscoveriesBody, EvidenceBody, discoveries_body, evidence_body
from api.ab_known import verdict_of
from api.access import Org, Reads, TheServices
from api.kinds import AB_TESTS
from api.problems import invalid, not_found
from api.routes.ab_tests import TAG, TestId, the_test
from api.services import Services
from schemas.entities import AbTest
from schemas.types import MetricName, Name
from sinks.clickhouse import ClickHouse

router = APIRouter()


@router.get(
    f"{AB_TESTS.path}discoveries/", tags=[TAG], summary="Which of all A/B tests found a difference"
)
async def all_discoveries(
    org_id: Org,
    scoped: Reads,
    held: TheServices,
    q: Annotated[
        float, Query(gt=0, lt=1, description="The share of discoveries that may be false.")
    ] = 0.05,
    procedure: Annotated[
        Procedure,
        Query(description="e-lond holds however tests depend; lord: of independent tests only."),
    ] = "e-lond",
) -> DiscoveriesBody:
    """Which of all A/B tests found a difference, so that of these a share of at most q is expected
    to be false. Each has its place, its evidence, and the level of its place.

    A test of the registry that is itself named 'discoveries' is not answered by GET here (the API
    makes none of that name); its results, verdicts and the like are.
    """
    tests = [
        fact.entity for fact in scoped.facts(AbTest, org_id) if isinstance(fact.entity, AbTest)
    ]
    runs = () if held.evaluations is None else tuple(held.evaluations.runs.snapshot().values())
    now = held.clock()

    def question(clickhouse: ClickHouse) -> AllTests:
        return all_tests(clickhouse, org_id, tests, runs, now)

    found = await held.clickhouse.ask(question)
    return discoveries_body(org_id, q, procedure, found)


@router.get(f"{AB_TESTS.item}evidence/", tags=[TAG], summary="The evidence of two tests together")
async def joint_evidence(
    ab_test_id: TestId,
    org_id: Org,
    scoped: Reads,
    held: TheServices,
    other: Annotated[
        Name,
        Query(alias="with", description="The other test.", examples=["small-2026-11-cases"]),
    ],
    metric: Annotated[
        MetricName | None, Query(description="Left out: every metric that both compare.")
    ] = None,
    independent: Annotated[
        bool | None,
        Query(
            description="Whether the two rest on different units and cases. Left out: yes of an "
            "offline and an online test, or if one began after the other; else no."
        ),
    ] = None,
) -> EvidenceBody:
    """The e-values of two tests of the same comparison, as of an offline test and the online one
    after it, combined: their product where they are independent, their mean otherwise."""
    if other == ab_test_id:
        raise invalid("with", f"{other} is the test itself; name another of the same comparison")
    mine = await _judged(held, the_test(scoped, org_id, ab_test_id))
    theirs = await _judged(held, the_test(scoped, org_id, other))
    try:
        found = joint(mine, theirs, metric, independent)
    except NothingInCommon as error:
        raise invalid("with", str(error)) from error
    return evidence_body(ab_test_id, other, found)


async def _judged(held: Services, test: AbTest) -> Judged:
    verdict = await verdict_of(held, test)
    if verdict is None:
        what = "cases" if test.mode == "offline" else "calls"
        raise not_found(
            f"verdict of {test.ab_test_id} yet: it is {test.status}, and none of its {what} have "
            "been judged"
        )
    return Judged(test, verdict)
