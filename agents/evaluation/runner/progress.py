"""How far a partition is: which of its cases have ended, in whatever order. Pure.

What is committed is the offset of the oldest case that has not ended. The cases behind it that have
ended travel in the metadata of the commit, one bit for each offset, so that a restart executes none
of them again. Offsets that are never delivered (control records, what retention removed) count as
ended once a later one is delivered.
"""

import base64
import binascii
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

from agents.errors import AgentsStopped

VERSION = "1:"
WINDOW = 16_384
"""Offsets that the metadata reaches: as bits, in base 64, 2,732 of Kafka's 4,096 bytes
(offset.metadata.max.bytes)."""


@dataclass(slots=True)
class Progress:
    """One partition's. `position`: the offset that is read next."""

    position: int
    _ended: set[int] = field(default_factory=set)
    _delivered: deque[int] = field(default_factory=deque)

    @classmethod
    def committed(cls, offset: int, metadata: str | None) -> Self:
        """As a commit left it. Raises AgentsStopped for metadata that is not ours."""
        return cls(offset, set(decode(offset, metadata)))

    @property
    def base(self) -> int:
        """The oldest offset that has not ended: what is committed."""
        return self._delivered[0] if self._delivered else self.position

    @property
    def span(self) -> int:
        """Offsets between what is committed and what is read next."""
        return self.position - self.base

    def deliver(self, offset: int) -> bool:
        """An offset was read; False: its case has ended already. In order, each once."""
        if offset < self.position:
            raise ValueError(f"offset {offset} was delivered before; next is {self.position}")
        self.position = offset + 1
        self._delivered.append(offset)
        fresh = offset not in self._ended
        self._advance()
        return fresh

    def end(self, offset: int) -> None:
        """The case at a delivered offset has ended."""
        self._ended.add(offset)
        self._advance()

    def has_ended(self, offset: int) -> bool:
        """Whether the case at this offset needs no execution."""
        return offset < self.base or offset in self._ended

    def metadata(self) -> str:
        """Of a commit at `base`."""
        return encode(self.base, self._ended)

    def _advance(self) -> None:
        while self._delivered and self._delivered[0] in self._ended:
            self._ended.remove(self._delivered.popleft())


def encode(base: int, ended: Iterable[int]) -> str:
    """Ended offsets above `base`; '' for none. Raises ValueError for one outside of the window."""
    bits = bytearray()
    for offset in ended:
        place = offset - base - 1
        if not 0 <= place < WINDOW:
            raise ValueError(f"offset {offset} is not within {WINDOW} of {base}")
        if place >= 8 * len(bits):
            bits.extend(bytes(place // 8 + 1 - len(bits)))
        bits[place // 8] |= 1 << place % 8
    return VERSION + base64.b64encode(bits).decode() if bits else ""


def decode(base: int, metadata: str | None) -> list[int]:
    """The ended offsets above `base`. Raises AgentsStopped: guessing would repeat or lose cases."""
    if not metadata:
        return []
    try:
        if not metadata.startswith(VERSION):
            raise ValueError("its version is not known")
        bits = base64.b64decode(metadata.removeprefix(VERSION), validate=True)
    except (ValueError, binascii.Error) as error:
        raise AgentsStopped(
            f"the committed offset carries metadata that is not the runner's ({error}): "
            f"{metadata[:100]!r}; does another program commit for this consumer group?"
        ) from error
    return [
        base + 1 + 8 * i + bit
        for i, byte in enumerate(bits)
        if byte
        for bit in range(8)
        if byte >> bit & 1
    ]
