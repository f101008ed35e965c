"""Errors of datasets.

DatasetError(AgentError)
├── NoSuchDataset      nobody created it, or it is not in ClickHouse yet
├── DatasetIncomplete  ClickHouse does not hold exactly its cases (yet): try again later
├── DatasetChanged     the version exists with other cases, and a version never changes
├── CaseInvalid        a case that a dataset cannot hold
├── FileUnusable       a file from which no rows can be read at all
└── PublishFailed      Kafka did not take the cases; publish them again
"""

from agents.errors import AgentError


class DatasetError(AgentError):
    """Root of everything this package raises."""


class NoSuchDataset(DatasetError):
    """Nobody created it, or it is not in ClickHouse yet."""


class DatasetIncomplete(DatasetError):
    """ClickHouse does not hold exactly its cases; mostly they are on their way."""

    def __init__(self, text: str, retry_after_s: float = 1.0) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(text)


class DatasetChanged(DatasetError):
    """The version exists with other cases."""


class CaseInvalid(DatasetError):
    """A case that a dataset cannot hold. `field`: which of its fields; '' for the whole."""

    def __init__(self, field: str, reason: str) -> None:
        self.field = field
        self.reason = reason
        super().__init__(f"{field}: {reason}" if field else reason)


class FileUnusable(DatasetError):
    """No rows can be read from the file. The message says why, and what to do."""


class PublishFailed(DatasetError):
    """Kafka did not take the cases. Publishing again is safe."""
