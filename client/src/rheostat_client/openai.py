"""Reports every chat completion of an OpenAI client. Needs the extra `openai`.

    client = observed(OpenAI(), reporter, Observation(capability="chat"))
    client.chat.completions.create(model="gpt-4o", messages=[...])     # used as ever

Works for OpenAI, AsyncOpenAI and what derives from them, with any server that speaks their
protocol. Covers `chat.completions.create` (plain and streamed), `.parse` and `.stream`.
"""

import functools
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import openai

from rheostat_client import rules
from rheostat_client.call import Call
from rheostat_client.context import current
from rheostat_client.errors import InvalidValue
from rheostat_client.ids import new_id
from rheostat_client.openai_answers import AsyncObservedStream, ObservedStream, Watched
from rheostat_client.reporter import Reporter
from rheostat_client.versions import Versions

C = TypeVar("C", bound="openai.OpenAI | openai.AsyncOpenAI")
RAW = "X-Stainless-Raw-Response"
"""The header by which the SDK asks itself for an unparsed response."""


@dataclass(frozen=True, slots=True)
class Observation:
    """How calls become events.

    `capability`, `unit_id`: for calls outside of a `serving` block; without a unit, the request's
    `safety_identifier` or `user`, else an id of its own. `models`: the provider's names -> your
    model_id, where they differ. `stream_usage`: ask streams for their token counts, and keep the
    extra chunk that carries them from the caller; turn it off for servers that refuse
    `stream_options`. Raises InvalidValue.
    """

    capability: str | None = None
    unit_id: str | None = None
    models: Mapping[str, str] = field(default_factory=dict)
    stream_usage: bool = True

    def __post_init__(self) -> None:
        for name, value in (("capability", self.capability), ("unit_id", self.unit_id)):
            if value is not None:
                rules.text(name, value)


def observed(client: C, reporter: Reporter, observation: Observation | None = None) -> C:
    """A copy of `client` that reports its chat completions; `client` itself is left alone.

    The copy shares the connections. What `with_options`, `with_raw_response` and
    `with_streaming_response` make of it is not observed, nor is `beta`. The model's version is
    that of the choice or assignment in force, else what the answer calls itself. An event that
    cannot be built is counted as dropped (`invalid`) and never stands in the way of the call.
    Raises InvalidValue.
    """
    if not isinstance(client, (openai.OpenAI, openai.AsyncOpenAI)):
        raise InvalidValue("client", "must be an OpenAI or AsyncOpenAI", client)
    twin: Any = client.copy()
    watch = _Watch(reporter, observation or Observation())
    # The copy makes its resources once and keeps them, so these are its own and nobody else's.
    completions = twin.chat.completions
    around = watch.awaited if isinstance(twin, openai.AsyncOpenAI) else watch.called
    for name in ("create", "parse"):
        method = getattr(completions, name, None)
        if method is not None:
            setattr(completions, name, around(method))
    made: C = twin
    return made


class _Watch:
    """Puts a measured call around the methods of one client."""

    def __init__(self, reporter: Reporter, observation: Observation) -> None:
        self._reporter = reporter
        self._observation = observation
        self._versions = Versions()

    def called(self, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def measured(*args: Any, **request: Any) -> Any:
            watched = self._begin(request)
            if watched is None:
                return method(*args, **request)
            try:
                answer = method(*args, **watched.request)
            except BaseException as error:
                watched.failed(error)
                raise
            if watched.streams:
                return ObservedStream(answer, watched)
            watched.answered(answer)
            return answer

        return measured

    def awaited(self, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @functools.wraps(method)
        async def measured(*args: Any, **request: Any) -> Any:
            watched = self._begin(request)
            if watched is None:
                return await method(*args, **request)
            try:
                answer = await method(*args, **watched.request)
            except BaseException as error:
                watched.failed(error)
                raise
            if watched.streams:
                return AsyncObservedStream(answer, watched)
            watched.answered(answer)
            return answer

        return measured

    def _begin(self, request: dict[str, Any]) -> Watched | None:
        """The call with its clock running; None: this one is not observed."""
        if RAW in (request.get("extra_headers") or {}):
            return None
        try:
            call, named = self._call(request)
        except InvalidValue as error:
            self._reporter.dropped("invalid", f"chat completion: {error}")
            return None
        model = str(request.get("model"))
        versions = None if named else self._versions
        return Watched(call.start(), request, model, versions, self._observation.stream_usage)

    def _call(self, request: Mapping[str, Any]) -> tuple[Call, bool]:
        """The call, and whether its version is decided already. Raises InvalidValue."""
        said, own = current(), self._observation
        requested = request.get("model")
        model_id = own.models.get(requested, requested) if isinstance(requested, str) else None
        unit_id = said.unit_id or own.unit_id or _unit(request) or new_id()
        capability = said.capability or own.capability
        # A choice says why this model is called; calls of others in the same block are not its.
        choice = said.choice if said.choice and said.choice.model_id == model_id else None
        assignment = said.assignment
        if assignment is not None and assignment.model_id not in (model_id, None):
            assignment = None
        if assignment is not None:
            unit_id = assignment.unit_id
        decided = choice or assignment
        version = None if decided is None else decided.model_version
        if decided is not None and decided.capability is not None:
            capability = decided.capability
        call = self._reporter.inference(
            unit_id=unit_id,
            capability=capability,
            model_id=model_id,
            model_version=version or self._versions.of(str(requested)),
            choice=choice,
            assignment=assignment,
        )
        return call, version is not None


def _unit(request: Mapping[str, Any]) -> str | None:
    """Who the request says it is for."""
    for name in ("safety_identifier", "user"):
        value = request.get(name)
        if isinstance(value, str) and value:
            return value
    return None
