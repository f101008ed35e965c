"""What a case's ending writes, as messages; and a case as it was read. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from agents.evaluation.runner.execution import Deferred, Ending, Finished
from schemas.convert import from_record, to_record
from schemas.errors import MalformedMessage
from schemas.evaluations import CaseResult, EvaluationCase
from schemas.topics import EVENT_BYTES_MAX, Topic
from schemas.wire import Codec

CALLS_HEADER = "calls"
"""Of a case that is executed again: the calls that were made for it so far, in decimal."""
MESSAGE_BYTES_MAX = EVENT_BYTES_MAX - 64 * 1024
EXPLANATION_MAX = 10_000


Partition = tuple[str, int]
"""The broker's name of a topic, and a number."""


class Place(NamedTuple):
    """Where a case was read. `topic` is the broker's name for it."""

    topic: str
    partition: int
    offset: int

    @property
    def where(self) -> Partition:
        return self.topic, self.partition


@dataclass(frozen=True, slots=True)
class Work:
    """A case that was read, with the calls that were made for it before."""

    place: Place
    case: EvaluationCase
    calls: int


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message of the transaction that ends a case."""

    topic: Topic
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


def read_case(value: bytes | None, codec: Codec) -> EvaluationCase:
    """Raises MalformedMessage or UnknownSchema for what is no case."""
    return from_record(EvaluationCase, codec.decode(value or b"", "EvaluationCase"))


def read_calls(headers: Any) -> int:
    """The calls header; 0 without a usable one."""
    for name, value in headers or ():
        if name == CALLS_HEADER and value is not None and value.isdigit():
            return int(value)
    return 0


def outgoing(ending: Ending, codec: Codec) -> Outgoing:
    """The message of an ending. Too large a one loses its explanations, then its output."""
    if isinstance(ending, Deferred):
        value = codec.encode("EvaluationCase", to_record(ending.case))
        headers = ((CALLS_HEADER, str(ending.calls).encode()),)
        return Outgoing(Topic.EVALUATION_RETRIES, _key(ending.case), value, headers)
    record = result_record(ending.result)
    value = _encoded(record, codec)
    if len(value) > MESSAGE_BYTES_MAX:
        scores = [
            {**s, "explanation": (s["explanation"] or "")[:EXPLANATION_MAX] or None}
            for s in record["scores"]
        ]
        value = _encoded({**record, "scores": scores}, codec)
    if len(value) > MESSAGE_BYTES_MAX:
        text = "the output is too large for a message and was not kept"
        value = _encoded({**record, "scores": scores, "output": None, "error_text": text}, codec)
    return Outgoing(Topic.CASE_RESULTS, _key(ending.result), value)


def result_record(result: CaseResult) -> dict[str, Any]:
    """As `to_record`, without its deep copies: this is made for every case."""
    record = {name: getattr(result, name) for name in CaseResult.__slots__}
    scores = [{name: getattr(s, name) for name in s.__slots__} for s in result.scores]
    return {**record, "scores": scores}


def _encoded(record: Mapping[str, Any], codec: Codec) -> bytes:
    """Texts that no UTF-8 can say are written with marks in their place."""
    try:
        return codec.encode("CaseResult", record)
    except MalformedMessage:
        return codec.encode("CaseResult", _sayable(record))


def _sayable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {name: _sayable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_sayable(item) for item in value]
    return value


def _key(item: EvaluationCase | CaseResult) -> bytes:
    return f"{item.run_id}/{item.case_id}".encode()


def ending_name(ending: Ending) -> str:
    """For the metric of endings."""
    if not isinstance(ending, Finished):
        return "later"
    result = ending.result
    return result.error_type or ("cached" if result.cached else "ok")
