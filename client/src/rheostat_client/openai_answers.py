"""What an answer of a chat completion tells: tokens, version, the first token, the end."""

from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Any

from rheostat_client.call import Call
from rheostat_client.errors import InvalidValue
from rheostat_client.logs import log
from rheostat_client.versions import Versions

INCLUDE_USAGE = "include_usage"


class Watched:
    """One request under measurement. `request`: what to send, `streams`: whether it streams.

    `versions` None: the version is decided and no answer changes it.
    """

    def __init__(
        self,
        call: Call,
        request: dict[str, Any],
        model: str,
        versions: Versions | None,
        stream_usage: bool,
    ) -> None:
        self._call = call
        self._model = model
        self._versions = versions
        self._seen_token = False
        self.streams = request.get("stream") is True
        asked = request.get("stream_options")
        self.hides_usage = self.streams and stream_usage and not asked
        self.request = request
        if self.hides_usage:
            self.request = {**request, "stream_options": {INCLUDE_USAGE: True}}

    def failed(self, error: BaseException) -> None:
        """Reports the call as failed."""
        self._call.__exit__(type(error), error, None)

    def finished(self) -> None:
        """Reports the call with what is known; later calls change nothing."""
        self._call.finish()

    def answered(self, answer: Any) -> None:
        """Reports a call with its whole answer."""
        self._note(answer)
        self._call.finish()

    def chunk(self, chunk: Any) -> bool:
        """Notes a piece of a stream; whether the caller should see it."""
        if not self._seen_token and any(_says_something(c) for c in _choices(chunk)):
            self._seen_token = True
            self._call.first_token()
        usage = getattr(chunk, "usage", None)
        if usage is not None or self._versions is not None:
            self._note(chunk)
        return not (self.hides_usage and usage is not None and not _choices(chunk))

    def _note(self, answer: Any) -> None:
        """Tokens and version. What a server says that makes no sense is left out."""
        try:
            version = getattr(answer, "model", None)
            if self._versions is not None and version:
                self._call.version(version)
                self._versions.answered(self._model, version)
            usage = getattr(answer, "usage", None)
            if usage is not None:
                details = getattr(usage, "prompt_tokens_details", None)
                self._call.usage(
                    input_tokens=getattr(usage, "prompt_tokens", None),
                    output_tokens=getattr(usage, "completion_tokens", None),
                    cached_input_tokens=getattr(details, "cached_tokens", None),
                )
        except InvalidValue as error:
            log.warning("an answer of %s is reported in part: %s", self._model, error)


def _choices(chunk: Any) -> Any:
    return getattr(chunk, "choices", None) or ()


def _says_something(choice: Any) -> bool:
    """Whether a piece carries more than who is speaking."""
    delta = getattr(choice, "delta", None)
    if delta is None:
        return False
    fields = {**vars(delta), **(getattr(delta, "model_extra", None) or {})}
    return any(value for name, value in fields.items() if name != "role")


class _Observed:
    """Stands for a stream of the SDK: same type to `isinstance`, same attributes."""

    def __init__(self, stream: Any, watched: Watched) -> None:
        self._stream = stream
        self._watched = watched

    @property  # type: ignore[misc]  # read-only here, as isinstance only reads it
    def __class__(self) -> Any:
        return type(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __del__(self) -> None:
        # A stream that was left half-way still was a call.
        watched = self.__dict__.get("_watched")
        if watched is not None:
            watched.finished()


class ObservedStream(_Observed):
    """Passes the pieces of a stream on, and reports the call when it ends, fails or is closed."""

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        while True:
            try:
                chunk = next(self._stream)
            except StopIteration:
                self._watched.finished()
                raise
            except BaseException as error:
                self._watched.failed(error)
                raise
            if self._watched.chunk(chunk):
                return chunk

    def close(self) -> None:
        try:
            self._stream.close()
        finally:
            self._watched.finished()

    def __enter__(self) -> "ObservedStream":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class AsyncObservedStream(_Observed):
    """As ObservedStream, for asyncio."""

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        while True:
            try:
                chunk = await self._stream.__anext__()
            except StopAsyncIteration:
                self._watched.finished()
                raise
            except BaseException as error:
                self._watched.failed(error)
                raise
            if self._watched.chunk(chunk):
                return chunk

    async def close(self) -> None:
        try:
            await self._stream.close()
        finally:
            self._watched.finished()

    async def __aenter__(self) -> "AsyncObservedStream":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
