"""The messages of one partition that wait to be stored. Pure; `now_s` is an argument."""

from dataclasses import dataclass, field
from typing import Any

from sinks.errors import SinkBroken
from sinks.intent import Intent


@dataclass(frozen=True, slots=True)
class Limits:
    """When a batch is full: by messages, by bytes, or by the age of its first message."""

    messages: int
    bytes: int
    linger_s: float


@dataclass(slots=True)
class Buffer:
    """Messages in offset order. With a `replay`, the next batch is exactly that intent's."""

    messages: list[Any] = field(default_factory=list)
    size_bytes: int = 0
    since_s: float = 0.0
    replay: Intent | None = None

    def add(self, messages: list[Any], now_s: float) -> None:
        """Appends what was read. Raises SinkBroken when it does not follow what is here."""
        if not self.messages:
            self.since_s = now_s
        elif messages[0].offset() <= self.messages[-1].offset():
            raise SinkBroken(
                f"offset {messages[0].offset()} was read behind {self.messages[-1].offset()}; "
                "storing both could count twice"
            )
        self.messages += messages
        self.size_bytes += sum(map(len, messages))

    def due(self, limits: Limits, now_s: float) -> bool:
        """Whether the next batch should be stored now."""
        if not self.messages:
            return False
        if self.replay is not None:
            return bool(self.messages[-1].offset() >= self.replay.last)
        return (
            len(self.messages) >= limits.messages
            or self.size_bytes >= limits.bytes
            or now_s - self.since_s >= limits.linger_s
        )

    def next(self, limits: Limits) -> tuple[list[Any], Intent]:
        """The next batch, which stays here, and its intent."""
        if self.replay is not None:
            intent = self.replay
            cut = next(
                (i for i, m in enumerate(self.messages) if m.offset() > intent.last),
                len(self.messages),
            )
        else:
            cut = min(len(self.messages), limits.messages)
            intent = Intent.new(self.messages[0].offset(), self.messages[cut - 1].offset())
        return self.messages[:cut], intent

    def remove(self, batch: list[Any]) -> None:
        """Forgets the batch that `next` gave."""
        self.replay = None
        self.messages = self.messages[len(batch) :]
        self.size_bytes -= sum(map(len, batch))
