"""Answers kept as bytes for as long as what they rest on stands: the registry's shelves, and time.

An answer belongs to one principal and one address with its parameters, so that nobody is given
another's. It is looked up before anything else runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from agents.access.authorise import Principal
from schemas.entities import Entity
from streams.registry_view import RegistrySnapshot, Shelf

KEEP = "rheostat.keep"
CALLER = "rheostat.caller"
"""Names in an ASGI scope, which callers cannot reach."""
MOST_BYTES = 64 * 1024 * 1024
LARGEST_BYTES = 256 * 1024
COST_BYTES = 1024
"""What an answer takes beside its body, about."""

Name = tuple[Principal, str, bytes]


@dataclass(frozen=True, slots=True)
class Answer:
    """`shelves`: by kind, what it rests on; None: there was nothing of that kind."""

    shelves: tuple[tuple[str, Shelf | None], ...]
    until: datetime | None
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def holds(self, registry: RegistrySnapshot, now: datetime) -> bool:
        """Whether it would be given again."""
        if self.until is not None and now >= self.until:
            return False
        live: Mapping[str, Shelf] = registry.live
        return all(live.get(kind) is shelf for kind, shelf in self.shelves)


class Answers:
    """One per app, for the event loop's thread."""

    def __init__(self) -> None:
        self._kept: dict[Name, Answer] = {}
        self._bytes = 0

    def get(self, name: Name, registry: RegistrySnapshot, now: datetime) -> Answer | None:
        """What was answered, if it still is the answer."""
        found = self._kept.get(name)
        return found if found is not None and found.holds(registry, now) else None

    def keep(self, name: Name, answer: Answer) -> None:
        """Remembers an answer; forgets all when there are too many."""
        size = len(answer.body) + COST_BYTES
        if len(answer.body) > LARGEST_BYTES:
            return
        if self._bytes + size > MOST_BYTES:
            self._kept.clear()
            self._bytes = 0
        self._kept[name] = answer
        self._bytes += size


class KeptResponse(Response):
    """A 200 of JSON bytes that rests on entities of these classes, as `registry` held them, until a
    moment."""

    def __init__(
        self,
        body: bytes,
        registry: RegistrySnapshot,
        rests_on: Sequence[type[Entity]],
        until: datetime | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(body, 200, headers, "application/json")
        self._shelves = tuple((cls.kind, registry.live.get(cls.kind)) for cls in rests_on)
        self._until = until

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Also leaves the answer with whoever keeps them."""
        keep: Any = scope.get(KEEP)
        if keep is not None:
            body = bytes(self.body)
            keep(Answer(self._shelves, self._until, list(self.raw_headers), body))
        await super().__call__(scope, receive, send)


async def send_kept(answer: Answer, send: Send) -> None:
    """The same answer again."""
    await send({"type": "http.response.start", "status": 200, "headers": answer.headers})
    await send({"type": "http.response.body", "body": answer.body})
