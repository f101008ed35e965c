"""Places in a run's plan, and sets of them. Pure.

A plan of C cases, E epochs and M models has C x E x M places, epoch by epoch, case by case; a
case's models take turns at being the first, so that no time of day, and no place in the order,
favours one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Self


class Place(NamedTuple):
    """What stands at a place: numbers from 0."""

    case: int
    epoch: int
    model: int


def place_at(number: int, cases: int, models: int) -> Place:
    """The place with this number."""
    epoch, within = divmod(number, cases * models)
    case, turn = divmod(within, models)
    return Place(case, epoch, (turn + case) % models)


@dataclass(frozen=True, slots=True)
class PlaceSet:
    """A set of places as the bits of a number: an eighth of a byte each, however many there are."""

    bits: int = 0

    @classmethod
    def from_bytes(cls, stored: bytes) -> Self:
        """The lowest place first."""
        return cls(int.from_bytes(stored, "little"))

    def to_bytes(self) -> bytes:
        """As `from_bytes` takes them."""
        return self.bits.to_bytes((self.bits.bit_length() + 7) // 8, "little")

    def __len__(self) -> int:
        return self.bits.bit_count()

    def __contains__(self, number: int) -> bool:
        return bool(self.bits >> number & 1)

    def __iter__(self) -> Iterator[int]:
        left = self
        while left.bits:
            number = left.lowest()
            yield number
            left = left.without(number)

    def lowest(self) -> int:
        """The first place of a set that has one."""
        return (self.bits & -self.bits).bit_length() - 1

    def having(self, number: int) -> Self:
        """The set with the place in it."""
        return type(self)(self.bits | 1 << number)

    def without(self, number: int) -> Self:
        """The set without the place, which must be in it."""
        return type(self)(self.bits ^ 1 << number)

    def union(self, other: "PlaceSet") -> Self:
        """Places of either."""
        return type(self)(self.bits | other.bits)
