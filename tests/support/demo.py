"""Made values of the demo: selections, pictures of a run, what was sent."""

from collections.abc import Mapping
from datetime import timedelta

from infra.demo.feed import Bulletin
from infra.demo.malformed import Malformation
from infra.demo.replay import Sent
from infra.demo.state import Flow, Picture
from schemas.records import AbVerdict, Candidate, SelectionUpdate
from sinks.reader import Coordinate, ModelMetrics
from tests.support.verdicts import BEGIN

GPT, MIXTRAL = "gpt-4-1106-preview", "mixtral-8x7b-instruct"
MODELS = (
    ModelMetrics(MIXTRAL, "v0.1", 3020, 0.003, 0.679, 640.0, 2110.0, 0.00146, 4.3),
    ModelMetrics(GPT, "1106", 2210, 0.0093, 0.803, 1590.0, 4720.0, None, None),
)


def selection(
    capability: str, leader: str | None, second: int = 0, why: str = "why", org_id: str = "demo"
) -> SelectionUpdate:
    """The leader gets 90 %, the other 10 %; without a leader nobody may serve."""
    other = MIXTRAL if leader == GPT else GPT
    ranked = ((leader or MIXTRAL, 0.9), (other, 0.1))
    candidates = tuple(
        Candidate(
            model_id,
            "1",
            rank,
            weight if leader else 0.0,
            leader is not None,
            0.3,
            0.28,
            100,
            0.8,
            0.0,
            900.0,
            0.01,
            (why,),
        )
        for rank, (model_id, weight) in enumerate(ranked, 1)
    )
    at = BEGIN + timedelta(seconds=second)
    return SelectionUpdate(
        f"{capability}-{second}", org_id, capability, at, at, 1, "no candidate", candidates
    )


def picture(*records: SelectionUpdate | AbVerdict, models: bool = True) -> Picture:
    """A run at its middle that saw these records."""
    bulletin = Bulletin("demo")
    for record in records:
        bulletin.take(record)
    flow = Flow(7010, 116, 7004, 6890, 162.0, 158.0, (10.0, 200.0, 100.0))
    return Picture(
        speed=60.0,
        planned=8819,
        trace_s=1718.0,
        span_s=3436.0,
        elapsed_s=28.6,
        flow=flow if models else Flow(),
        models=MODELS if models else (),
        news=bulletin.news(),
        dead_letters=(("unknown_schema", 10), ("not_finite", 9)) if models else (),
    )


def sent(
    by_test: Mapping[str, int], broken: Mapping[Malformation, int], failures: tuple[str, ...] = ()
) -> Sent:
    """Acknowledged records; the broken ones at offsets from 0 on."""
    at = {kind: tuple(Coordinate(0, i) for i in range(n)) for kind, n in broken.items()}
    return Sent(by_test, at, failures, 0, True)
