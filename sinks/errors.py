"""Errors of the storage lane.

SinkError
├── Backpressure        ClickHouse does not take the rows now; wait `retry_after_s` and repeat
├── OwnershipLost       Kafka refused a commit: the partition may belong to another worker now
├── SinkBroken          repeating cannot help: our bug or a changed table; the worker stops
└── MigrationFailed     a migration could not be applied
"""


class SinkError(Exception):
    """Root of everything this package raises."""


class Backpressure(SinkError):
    """ClickHouse does not take the rows now."""

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class OwnershipLost(SinkError):
    """Kafka refused a commit, or a batch could not be taken; what is committed is read again."""

    def __init__(self, message: str, retry_after_s: float = 0.2) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class SinkBroken(SinkError):
    """Repeating the insert cannot help."""


class MigrationFailed(SinkError):
    """A migration could not be applied; says which statement and why."""
