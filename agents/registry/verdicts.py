"""The latest verdict of every A/B test, followed for the rules of promotion."""

from collections.abc import Sequence

import structlog
from confluent_kafka import Message

from agents.registry.rules import Verdicts
from schemas.convert import from_record
from schemas.errors import MalformedMessage, UnknownSchema
from schemas.records import AbVerdict
from schemas.topics import Topic
from schemas.wire import Codec
from streams.follow import Follower
from streams.kafka import KafkaConfig

log = structlog.get_logger(__name__)


class VerdictView:
    """Follows ab-verdicts from `start` to `close`."""

    def __init__(self, kafka: KafkaConfig, codec: Codec) -> None:
        self._codec = codec
        self._latest: dict[tuple[str, str], AbVerdict] = {}
        self._follower = Follower(kafka, Topic.AB_VERDICTS, self._take)

    def start(self) -> None:
        """Begins to follow."""
        self._follower.start()

    def close(self) -> None:
        """Ends the thread."""
        self._follower.close()

    def wait_loaded(self, timeout_s: float) -> None:
        """Waits until everything that was there at the start is read.

        Raises ViewNotLoaded, ViewFailed.
        """
        self._follower.wait_loaded(timeout_s)

    def latest(self) -> Verdicts:
        """By (org_id, ab_test_id), as far as read."""
        return self._latest

    def _take(self, messages: Sequence[Message]) -> None:
        latest = dict(self._latest)
        for message in messages:
            value = message.value()
            if value is None:
                continue
            try:
                verdict = from_record(AbVerdict, self._codec.decode(value, "AbVerdict"))
            except (MalformedMessage, UnknownSchema) as error:
                log.error("verdict skipped", offset=message.offset(), error=str(error))
                continue
            key = (verdict.org_id, verdict.ab_test_id)
            latest[key] = later(latest.get(key), verdict)
        self._latest = latest


def later(known: AbVerdict | None, verdict: AbVerdict) -> AbVerdict:
    """What holds after this one. A person's decision holds until a verdict carries it on: one that
    does not was made by a monitor that had not heard of it."""
    unheard = known is not None and known.decided_by is not None and verdict.decided_by is None
    return known if known is not None and unheard else verdict
