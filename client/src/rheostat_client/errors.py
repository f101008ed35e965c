"""Errors of the client.

ClientError
├── InvalidValue      an argument is wrong: which field, why, and the value (also a ValueError)
├── CallFinished      a call was changed after it had been reported
├── NoChoice          nothing may serve: no update, no snapshot and no rule meets the requirements
├── UnknownSchema     a message's schema id is not known to this version of the client
├── MalformedMessage  bytes, or a record, that are not what they should be
├── SnapshotRejected  the file of the last known good updates cannot be trusted
└── RegistryUnavailable  the schema registry did not answer; try again

Only the first three reach a caller of `Reporter` and `Selector`; the rest is handled inside,
counted and logged. Kafka being away is no error at all.
"""

from collections.abc import Sequence

SHOWN_CHARACTERS = 80


class ClientError(Exception):
    """Root of everything this package raises."""


class InvalidValue(ClientError, ValueError):
    """An argument that can never be counted. `field`, `reason` and `value` say what and why."""

    def __init__(self, field: str, reason: str, value: object) -> None:
        self.field, self.reason, self.value = field, reason, value
        super().__init__(f"{field} {reason}: {_shown(value)}")


class CallFinished(ClientError):
    """The call was reported already, so what is said now would be lost."""


class NoChoice(ClientError):
    """No model can be chosen. `reasons` holds one line for each place that was looked at."""

    def __init__(self, capability: str, reasons: Sequence[str]) -> None:
        self.capability, self.reasons = capability, tuple(reasons)
        super().__init__(f"no model for {capability!r}: {'; '.join(self.reasons)}")


class UnknownSchema(ClientError):
    """No schema is known under that id or record name."""


class MalformedMessage(ClientError):
    """The bytes are not a message in the wire format, or the record breaks its contract."""


class SnapshotRejected(ClientError):
    """The snapshot file is damaged, of another organisation, or of another format."""


class RegistryUnavailable(ClientError):
    """The schema registry could not be asked."""


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."
