"""Server-sent events from bytes as they come: the data of each event. Pure.

https://html.spec.whatwg.org/multipage/server-sent-events.html; names and ids are left out,
as no protocol here needs them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from agents.evaluation.runner.failures import CallFailed

EVENT_BYTES_MAX = 8 * 1024 * 1024


@dataclass(slots=True)
class Events:
    """Cuts a stream into events, however its pieces are cut."""

    _rest: bytes = b""
    _data: list[bytes] = field(default_factory=list)

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Events that end in this piece. Raises CallFailed for one that does not end."""
        if b"\r" in piece or self._rest.endswith(b"\r"):
            joined = (self._rest + piece).replace(b"\r\n", b"\n")
            # A carriage return at the end may be the first half of a line's end.
            held = b"\r" if joined.endswith(b"\r") else b""
            joined = joined[: len(joined) - len(held)].replace(b"\r", b"\n")
        else:
            joined, held = self._rest + piece, b""
        *lines, rest = joined.split(b"\n")
        self._rest = rest + held
        if len(self._rest) > EVENT_BYTES_MAX:
            raise CallFailed("bad_response", f"an event of over {EVENT_BYTES_MAX:,} bytes")
        for line in lines:
            if not line:
                if self._data:
                    yield self._take()
            elif line.startswith(b"data:"):
                self._data.append(line[6:] if line[5:6] == b" " else line[5:])

    def end(self) -> Iterator[bytes]:
        """What stands at the end without a blank line behind it; some servers leave that out."""
        if self._rest.startswith(b"data:"):
            self._data.append(self._rest[5:].strip())
        self._rest = b""
        if self._data:
            yield self._take()

    def _take(self) -> bytes:
        found = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
        self._data = []
        return found
