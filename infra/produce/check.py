"""Whether events would count: the data lane decodes and validates them before they are sent."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from agents.errors import Problem
from infra.produce.mapping import FieldMapping
from infra.produce.rows import THE_LINE, Row
from schemas.errors import MalformedMessage
from schemas.wire import Codec
from streams.decode import decode
from streams.types import Coordinates, RawBatch
from streams.validate import validate

CHUNK = 5_000


@dataclass(frozen=True, slots=True)
class Checked:
    """Some rows of the file: messages that would count, with their keys and lines, and problems."""

    messages: Sequence[bytes]
    keys: Sequence[str]
    lines: Sequence[int]
    problems: Sequence[Problem]


@dataclass(frozen=True, slots=True)
class Checker:
    """Rows in, checked messages out. `now_ms`: what occurred_at is by default and held against."""

    mapping: FieldMapping
    codec: Codec
    retention_ms: int
    now_ms: int

    def check(self, rows: Iterable[Row | Problem]) -> Iterator[Checked]:
        """In chunks of CHUNK rows, in order."""
        chunk: list[Row | Problem] = []
        for row in rows:
            chunk.append(row)
            if len(chunk) == CHUNK:
                yield self._check(chunk)
                chunk = []
        if chunk:
            yield self._check(chunk)

    def _check(self, rows: Sequence[Row | Problem]) -> Checked:
        problems: list[Problem] = []
        encoded: list[tuple[int, str, bytes]] = []
        for row in rows:
            if isinstance(row, Problem):
                problems.append(row)
                continue
            event, wrong = self.mapping.event(row, self.now_ms)
            problems += wrong
            if not wrong:
                self._encode(row.line, event, encoded, problems)
        rejected = self._rejected(encoded)
        problems += rejected.values()
        good = [each for place, each in enumerate(encoded) if place not in rejected]
        return Checked(
            [message for _, _, message in good],
            [key for _, key, _ in good],
            [line for line, _, _ in good],
            sorted(problems, key=lambda p: p.line),
        )

    def _encode(
        self,
        line: int,
        event: dict[str, Any],
        encoded: list[tuple[int, str, bytes]],
        problems: list[Problem],
    ) -> None:
        try:
            message = self.codec.encode(self.mapping.record, event)
        except (MalformedMessage, UnicodeEncodeError) as error:
            problems.append(Problem(line, THE_LINE, str(error)))
        else:
            encoded.append((line, event["unit_id"], message))

    def _rejected(self, encoded: Sequence[tuple[int, str, bytes]]) -> dict[int, Problem]:
        """By place, what the data lane would file as a dead letter."""

        def locate(place: int) -> Coordinates:
            return Coordinates(0, place, self.now_ms, None)

        values = [message for _, _, message in encoded]
        batch = RawBatch("", values, locate, self.now_ms, self.now_ms)
        decoded = decode(batch, self.mapping.record, self.codec.catalog)
        rejects = list(decoded.rejects)
        for records in decoded.records:
            rejects += validate(records, batch, self.retention_ms).rejects
        return {
            reject.row: Problem(
                encoded[reject.row][0],
                reject.field or THE_LINE,
                reject.text.removeprefix(f"{reject.field} "),
            )
            for reject in rejects
        }
