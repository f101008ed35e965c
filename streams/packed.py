"""The values of a batch in one buffer, packed while they arrive.

A list of 50,000 messages is larger than the CPU's caches, and every pass over it fetches each
object from memory again. A thousand messages fit: what is needed of them is taken out at once.
"""

from collections.abc import Sequence
from typing import overload

import numpy as np

from streams.columns import PADDING, Integers, Joined, side_by_side


class Packed(Sequence[bytes | None]):
    """The values as a list would hold them; `joined` gives all of them without a copy."""

    __slots__ = ("_nulls", "joined")

    def __init__(self, joined: Joined, nulls: frozenset[int]) -> None:
        self.joined = joined
        self._nulls = nulls

    def __len__(self) -> int:
        return len(self.joined.end)

    @overload
    def __getitem__(self, place: int) -> bytes | None: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[bytes | None]: ...
    def __getitem__(self, place: int | slice) -> bytes | Sequence[bytes | None] | None:
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        i = range(len(self))[place]
        if i in self._nulls:
            return None
        return self.joined.body[self.joined.start[i] : self.joined.end[i]].tobytes()


class Packer:
    """Takes values a few at a time."""

    __slots__ = ("_bodies", "_count", "_lengths", "_nulls")

    def __init__(self) -> None:
        self._bodies: list[bytes] = []
        self._lengths: list[Integers] = []
        self._nulls: list[int] = []
        self._count = 0

    def add(self, values: list[bytes | None]) -> None:
        """Appends values; null is remembered."""
        try:
            body = b"".join(values)  # type: ignore[arg-type]  # None raises TypeError
        except TypeError:
            self._nulls += [self._count + i for i, value in enumerate(values) if value is None]
            values = [value or b"" for value in values]
            body = b"".join(value or b"" for value in values)
        self._bodies.append(body)
        self._lengths.append(np.fromiter(map(len, values), np.int64, len(values)))  # type: ignore[arg-type]
        self._count += len(values)

    def packed(self) -> Packed:
        """Everything that was added."""
        body = np.frombuffer(b"".join([*self._bodies, PADDING]), np.uint8)
        lengths = np.concatenate(self._lengths) if self._lengths else np.zeros(0, np.int64)
        return Packed(side_by_side(body, lengths), frozenset(self._nulls))
