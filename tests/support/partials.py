"""Messages of metric-partials with known contents."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from schemas.catalog import committed
from schemas.wire import Codec
from streams.emit import Envelope, Outgoing, partials
from streams.partials import from_record
from streams.price import price_table
from streams.reduce import Context, reduce
from streams.types import Partials
from tests.support.events import WEEK_MS, batch, encode

CODEC = Codec(committed())


RECORDS = {"inference-events": "InferenceEvent", "case-results": "CaseResult"}


def messages(
    events: Sequence[dict[str, Any]], partitions: int = 4, topic: str = "inference-events"
) -> list[Outgoing]:
    """What the data lane sends for a batch of this topic's events."""
    context = Context(committed(), RECORDS, price_table(()), WEEK_MS)
    reduced = reduce((batch(encode(RECORDS[topic], events), topic),), context)
    assert not reduced.rejects, reduced.rejects[0]
    envelope = Envelope("test", datetime.fromtimestamp(0, UTC), ())
    return list(partials(reduced.wide, reduced.tidy, envelope, partitions, CODEC))


def of(events: Sequence[dict[str, Any]], topic: str = "inference-events") -> Partials:
    """The same, decoded, of one organisation."""
    (message,) = messages(events, partitions=1, topic=topic)
    return from_record(CODEC.decode(message.value, "MetricPartials"))
