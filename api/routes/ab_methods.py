"""What other methods say of an A/B test, beside its results."""

from typing import Annotated

from fastapi import APIRouter, Query

from agents.ab_methods import methods
from api.ab_methods import MethodsBody, methods_body
from api.access import Org, Reads, TheServices
from api.problems import invalid
from api.routes.ab_tests import ONE, TAG, TestId, the_test
from schemas.types import MetricName
from streams.statistics.estimates import NoEstimate

router = APIRouter()


@router.get(f"{ONE}methods/", summary="What other methods say", tags=[TAG])
async def methods_of(
    ab_test_id: TestId,
    org_id: Org,
    scoped: Reads,
    held: TheServices,
    metric: Annotated[MetricName | None, Query(description="Only of this one.")] = None,
) -> MethodsBody:
    """What exact methods, ranks, quantiles and margins say of every metric and arm.

    No verdict rests on these rows. `when` says whether a row holds at every look, or at a single
    one that was fixed beforehand; `corrected_for`, for how many comparisons it is corrected.
    """
    test = the_test(scoped, org_id, ab_test_id)
    compared = [goal.metric for goal in test.metrics]
    if metric not in (None, *compared):
        listed = ", ".join(compared)
        raise invalid("metric", f"the test does not compare {metric}; it compares {listed}")
    counted = await held.methods.of(held.clickhouse, test, held.clock)
    found = counted.found
    said = found if isinstance(found, NoEstimate) else methods(test, found, counted.began_at)
    return methods_body(test, said, counted.began_at, metric)
