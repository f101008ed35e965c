"""How windows stand in a changelog: one entry a block, named by place and span."""

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from agents.book import Entry
from agents.policy.contributions import Place
from agents.policy.window import Block, Span, Window

BLOCK = "block"
PRIOR = "prior"
"""A block of evaluations."""


def block_entries(place: Place, window: Window, kind: str = BLOCK) -> Iterator[Entry]:
    """The blocks that are not stored yet; afterwards they count as stored."""
    for span, block in window.unsaved():
        value = None if block is None else _dump(block)
        yield Entry(orjson.dumps([kind, *place, *span]), value)


def entry(kind: str, place: Place, value: object) -> Entry:
    """Anything else about a place, as JSON values."""
    return Entry(orjson.dumps([kind, *place]), orjson.dumps(value))


def read(
    stored: Iterable[tuple[bytes, bytes]],
    windows: dict[Place, Window],
    priors: dict[Place, Window] | None = None,
) -> Iterator[tuple[str, Place, Any]]:
    """Restores the blocks into `windows`, those of evaluations into `priors`, and yields
    (kind, place, value) of everything else."""
    for raw_key, raw_value in stored:
        kind, org, capability, *rest = orjson.loads(raw_key)
        place, value = Place(org, capability), orjson.loads(raw_value)
        if kind == BLOCK or (kind == PRIOR and priors is not None):
            held = windows if kind == BLOCK or priors is None else priors
            window = held.setdefault(place, Window())
            window.restore(Span(*rest), value["offset"], value["models"])
        else:
            yield kind, place, value


def _dump(block: Block) -> bytes:
    return orjson.dumps({"offset": block.offset, "models": block.pack()})
