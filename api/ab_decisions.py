"""A person's decision on an A/B test: a verdict that says who decided, and why."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated

from confluent_kafka import Producer
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from agents.errors import Unavailable
from agents.policy.recommend import recommended
from agents.policy.verdicts import decided_by
from schemas.convert import to_record
from schemas.entities import AbTest
from schemas.records import AbVerdict, ArmCount
from schemas.topics import Topic
from schemas.types import Name
from schemas.wire import Codec
from streams.kafka import KafkaConfig

SEND_TIMEOUT_S = 10.0


class DecisionBody(BaseModel):
    """What a person decides. `winner`: an arm; null: none is better."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"winner": "new", "reason": "Cheaper, and not worse."}]},
    )

    winner: Name | None = None
    reason: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)
    ] = Field(description="Why; stands beside the decision.")


def decision(
    test: AbTest, known: AbVerdict | None, body: DecisionBody, author: str, now: datetime
) -> AbVerdict:
    """The newest verdict with this decision instead of its own. `known` None: there is none yet."""
    verdict = known or _empty(test, now)
    text = f"{author}: {body.reason}"
    if verdict.decision is not None:
        end = "" if text.endswith((".", "!", "?")) else "."
        text += f"{end} Before, it was decided: {verdict.decision}"
    made = replace(
        verdict,
        as_of=now,
        status="decided",
        winner=body.winner,
        decided_at=now,
        decision=text,
        decided_by=author,
        reason=text,
        decision_sources=verdict.sources,
    )
    kept = decided_by(made)
    assert kept is not None, "it has a decided_at"
    return replace(made, recommendation=recommended(kept, test.baseline))


def publish(kafka: KafkaConfig, codec: Codec, verdict: AbVerdict) -> None:
    """Returns once Kafka has it. Raises Unavailable."""
    failures: list[str] = []
    producer = Producer(kafka.producer(message_timeout_ms=int(SEND_TIMEOUT_S * 1000)))
    producer.produce(
        kafka.topic(Topic.AB_VERDICTS),
        codec.encode("AbVerdict", to_record(verdict)),
        verdict.ab_test_id.encode(),
        on_delivery=lambda error, _: failures.append(str(error)) if error is not None else None,
    )
    left = producer.flush(SEND_TIMEOUT_S)
    if left or failures:
        why = failures[0] if failures else f"no answer within {SEND_TIMEOUT_S:g} s"
        raise Unavailable(f"Kafka did not take the decision: {why}", "")


def _empty(test: AbTest, now: datetime) -> AbVerdict:
    arms = tuple(ArmCount(arm.arm, arm.model_id, 0) for arm in test.arms)
    return AbVerdict(
        ab_test_id=test.ab_test_id,
        org_id=test.org_id,
        capability=test.capability,
        as_of=now,
        status="collecting",
        winner=None,
        decided_at=None,
        decision=None,
        srm_p_value=None,
        alpha=test.alpha,
        arms=arms,
        comparisons=(),
        analysis=test.analysis,
    )
