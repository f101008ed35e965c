"""The intent of a batch, kept in the metadata of a committed offset. Pure."""

import json
import secrets
from dataclasses import dataclass
from typing import Self

from sinks.errors import SinkBroken

METADATA_BYTES_MAX = 4096
"""Kafka's default limit (offset.metadata.max.bytes)."""


@dataclass(frozen=True, slots=True)
class Intent:
    """A batch that is about to be inserted: its first and last offset, both included.

    `nonce` is drawn once, when the intent is made, and kept with it: a topic that was deleted and
    created again counts its offsets from 0 again, and its batches are no repetitions.
    """

    first: int
    last: int
    nonce: str

    @classmethod
    def new(cls, first: int, last: int) -> Self:
        """The intent of a batch that was never tried."""
        return cls(first, last, secrets.token_hex(4))

    @property
    def next_offset(self) -> int:
        """What is committed when the batch is durable."""
        return self.last + 1

    def token(self, topic: str, partition: int) -> str:
        """The insert_deduplication_token: the same for every repetition of the batch."""
        return f"{topic}:{partition}:{self.first}:{self.last}:{self.nonce}"

    def encode(self) -> str:
        """As commit metadata."""
        value = {"first": self.first, "last": self.last, "nonce": self.nonce}
        return json.dumps(value, separators=(",", ":"))

    @classmethod
    def decode(cls, metadata: str | None) -> Self | None:
        """The intent in a commit's metadata; None when it has none.

        Raises SinkBroken for metadata that is not ours: guessing could count rows twice.
        """
        if not metadata:
            return None
        try:
            value = json.loads(metadata)
            return cls(int(value["first"]), int(value["last"]), str(value["nonce"]))
        except (ValueError, KeyError, TypeError) as error:
            raise SinkBroken(
                f"the committed offset carries metadata that is no intent: {metadata[:200]!r}; "
                "does another program commit for this consumer group?"
            ) from error
