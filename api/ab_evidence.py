"""The answers about several A/B tests: which are discoveries, and two of one comparison."""

from pydantic import BaseModel, Field

from agents.ab_discoveries import AllTests
from agents.policy.discoveries import ASSUMES, RULE, Placed, Procedure, discoveries
from agents.policy.joint_evidence import How, Joint, JointEvidence


class DiscoveriesBody(BaseModel):
    """Every A/B test of the organisation in the order in which it began, as of now: what is a
    discovery may change while tests still run."""

    org_id: str
    q: float = Field(examples=[0.05])
    procedure: Procedure
    assumes: str = Field(examples=[ASSUMES["e-lond"]])
    rule: str = Field(examples=[RULE])
    discoveries: int = Field(description="How many of the tests are.", examples=[1])
    tests: list[Placed]
    without_verdict: list[str] = Field(
        description="Tests that are no drafts and have no verdict yet: they have no place.",
        examples=[["small-2026-12"]],
    )


def discoveries_body(
    org_id: str, q: float, procedure: Procedure, found: AllTests
) -> DiscoveriesBody:
    """Every test at its place, decided at rate q."""
    rows = discoveries(found.begun, q, procedure)
    return DiscoveriesBody(
        org_id=org_id,
        q=q,
        procedure=procedure,
        assumes=ASSUMES[procedure],
        rule=RULE,
        discoveries=sum(row.discovery for row in rows),
        tests=rows,
        without_verdict=list(found.without_verdict),
    )


class EvidenceBody(BaseModel):
    """Evidence of two tests of one comparison, put together: each p-value is of its comparison
    alone, and holds at every look."""

    ab_test_id: str
    other: str = Field(examples=["small-2026-11-cases"])
    how: How = Field(description="product: of independent evidence; mean: of any other.")
    why: str = Field(description="Why so.")
    comparisons: list[JointEvidence]


def evidence_body(ab_test_id: str, other: str, found: Joint) -> EvidenceBody:
    """Of both tests, by comparison."""
    return EvidenceBody(
        ab_test_id=ab_test_id,
        other=other,
        how=found.how,
        why=found.why,
        comparisons=list(found.comparisons),
    )
