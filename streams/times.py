"""Times as Kafka and ClickHouse tell them, as values."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(epoch_ms: int) -> datetime:
    """Milliseconds since 1970 as an aware time in UTC, exactly."""
    return _EPOCH + timedelta(milliseconds=epoch_ms)
