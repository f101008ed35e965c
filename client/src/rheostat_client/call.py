"""One measured call of a model: a context manager, plain or async."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple

from rheostat_client import rules
from rheostat_client.errors import CallFinished, InvalidValue
from rheostat_client.events import InferenceHandle

Report = Callable[[dict[str, Any]], None]
_TOKENS = rules.INFERENCE.numbers["input_tokens"]
_QUALITY = rules.INFERENCE.optional_numbers["quality"]
_COST = rules.INFERENCE.optional_numbers["cost_usd"]


class Served(NamedTuple):
    """What served whom: the parts of an event that are known before the call."""

    org_id: str
    model_id: str
    model_version: str
    capability: str
    unit_id: str
    ab_test_id: str | None = None
    arm: str | None = None
    propensity: float | None = None
    selection_id: str | None = None


class Call:
    """Measures from `with` to the end of the block, and reports once, whatever happens inside.

    An exception is recorded as `error_type` and goes on. Belongs to one thread or task at a time.
    The methods raise InvalidValue for what could never be counted, and CallFinished when the call
    was reported already.
    """

    __slots__ = ("_event_id", "_record", "_report", "_served", "_started_at_ms", "_started_s")

    def __init__(self, served: Served, event_id: str, report: Report) -> None:
        self._served = served
        self._report = report
        self._event_id = event_id
        self._started_at_ms = 0
        self._started_s = 0.0
        self._record: dict[str, Any] | None = None

    @property
    def handle(self) -> InferenceHandle:
        """What later feedback about this call needs; valid from the start of the block."""
        s = self._served
        return InferenceHandle(
            self._event_id,
            self._started_at_ms,
            s.org_id,
            s.model_id,
            s.model_version,
            s.capability,
            s.unit_id,
            s.ab_test_id,
            s.arm,
        )

    def first_token(self) -> None:
        """The first token (or chunk) is here. Later calls change nothing."""
        record = self._open()
        if record["ttft_ms"] is None:
            record["ttft_ms"] = (time.perf_counter() - self._started_s) * 1000

    def usage(
        self,
        *,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        cached_input_tokens: int | None = None,
    ) -> None:
        """Tokens of the call; None leaves what is known. Cached ones are part of the input."""
        record = self._open()
        if input_tokens is not None:
            record["input_tokens"] = rules.number("input_tokens", input_tokens, _TOKENS)
        if output_tokens is not None:
            record["output_tokens"] = rules.number("output_tokens", output_tokens, _TOKENS)
        if cached_input_tokens is not None:
            cached = rules.number("cached_input_tokens", cached_input_tokens, _TOKENS)
            record["cached_input_tokens"] = cached

    def quality(self, value: float) -> None:
        """How good the answer was, in [0, 1], when it is known at once. See also feedback."""
        self._open()["quality"] = rules.number("quality", value, _QUALITY)

    def cost(self, cost_usd: float) -> None:
        """What the call cost, when you know better than the registry's price."""
        self._open()["cost_usd"] = rules.number("cost_usd", cost_usd, _COST)

    def version(self, model_version: str) -> None:
        """The version that answered, when only the answer tells it."""
        self._open()["model_version"] = rules.text("model_version", model_version)

    def fail(self, error_type: str | BaseException) -> None:
        """The call failed without an exception leaving the block (a refusal, a bad answer)."""
        self._open()["error_type"] = rules.text("error_type", _error_type(error_type))

    def finish(self) -> None:
        """Stops the clock and reports now, before the block ends. Later calls change nothing."""
        record = self._record
        if record is None or not self._started_s:
            return
        record["latency_ms"] = (time.perf_counter() - self._started_s) * 1000
        self._record = None
        self._report(record)

    def discard(self) -> None:
        """Nothing is reported, as if the call had not been made (a cached answer, a test)."""
        self._record = None

    def start(self) -> "Call":
        """Starts the clock; what `with` does."""
        if self._started_s:
            raise CallFinished("a call can be measured once; ask the reporter for another")
        s = self._served
        self._started_at_ms = time.time_ns() // 1_000_000
        self._record = {
            "event_id": self._event_id,
            "occurred_at": self._started_at_ms,
            "org_id": s.org_id,
            "model_id": s.model_id,
            "model_version": s.model_version,
            "capability": s.capability,
            "ab_test_id": s.ab_test_id,
            "arm": s.arm,
            "unit_id": s.unit_id,
            "propensity": s.propensity,
            "selection_id": s.selection_id,
            "latency_ms": 0.0,
            "ttft_ms": None,
            "input_tokens": 0,
            "output_tokens": 0,
            "cached_input_tokens": 0,
            "cost_usd": None,
            "quality": None,
            "error_type": None,
        }
        self._started_s = time.perf_counter()
        return self

    def _open(self) -> dict[str, Any]:
        if self._record is None:
            why = "was reported already" if self._started_s else "is measured inside `with` only"
            raise CallFinished(f"the call of {self._served.model_id} {why}")
        return self._record

    __enter__ = start

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None and self._record is not None:
            self._record["error_type"] = _error_type(error)
        self.finish()

    async def __aenter__(self) -> "Call":
        return self.start()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, trace)


def _error_type(error: object) -> str:
    """The exception's type by its full name; builtins without their module."""
    if isinstance(error, BaseException):
        kind = type(error)
        name = kind.__qualname__
        full = name if kind.__module__ == "builtins" else f"{kind.__module__}.{name}"
        return full.encode(errors="replace")[: rules.TEXT_BYTES_MAX].decode(errors="ignore")
    if not isinstance(error, str):
        raise InvalidValue("error_type", "must be a text or an exception", error)
    return error
