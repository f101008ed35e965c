"""What happens to every request before anything else sees it. Pure ASGI: it is on every path.

1. A missing slash at the end of a path of the API is added: both forms are the same address.
2. The caller is authenticated: nothing below the prefix runs for a stranger, not even the reading
   of a body.
3. An answer that is known and still holds is given at once.
4. A body is read whole before the endpoint runs, up to a size and within a time, so that no slow or
   endless sender holds an endpoint.
"""

import asyncio
from functools import partial

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agents.access.authorise import Principal
from api.answers import CALLER, KEEP, Name, send_kept
from api.handlers import problem_of
from api.problems import Problem, response
from api.runtime import Api
from streams.errors import ViewFailed, ViewNotLoaded

DISCARD_S = 5.0
BODIES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class Edge:
    """`prefix`: of the API's paths."""

    def __init__(self, app: ASGIApp, api: Api, prefix: str) -> None:
        self._app = app
        self._api = api
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            if scope["path"].startswith(self._prefix) and scope["method"] != "OPTIONS":
                principal = await self._admitted(scope)
                if scope["method"] == "GET" and await self._known(scope, principal, send):
                    return
            if scope["method"] in BODIES:
                receive = _replayed(await self._body(scope, receive), receive)
        except (Problem, ViewFailed, ViewNotLoaded) as error:
            problem = problem_of(error)
            if scope["method"] in BODIES:
                # The body may still be under way: this connection is of no more use.
                problem.headers["Connection"] = "close"
                if problem.status == 413:
                    await _discarded(receive, 4 * self._api.services.config.max_body_bytes)
            await response(problem)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _admitted(self, scope: Scope) -> Principal:
        if not scope["path"].endswith("/"):
            scope["path"] += "/"
        client = scope.get("client")
        address = "" if client is None else str(client[0])
        principal = await self._api.gate.admit(Headers(scope=scope), address)
        scope[CALLER] = principal
        return principal

    async def _known(self, scope: Scope, principal: Principal, send: Send) -> bool:
        """Answers what is known; else leaves a way to remember the answer that will be made."""
        name: Name = (principal, scope["path"], scope["query_string"])
        registry, now = self._api.gate.registry(), self._api.services.clock()
        answer = self._api.answers.get(name, registry, now)
        if answer is None:
            scope[KEEP] = partial(self._api.answers.keep, name)
            return False
        await send_kept(answer, send)
        return True

    async def _body(self, scope: Scope, receive: Receive) -> list[Message]:
        most = self._api.services.config.max_body_bytes
        for name, value in scope["headers"]:
            if name == b"content-length" and int(value) > most:
                raise self._too_large()
        timeout_s = self._api.services.config.body_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                return await self._read(receive, most)
        except TimeoutError as error:
            text = f"the body did not arrive within {timeout_s:g} s"
            raise Problem(408, "too-slow", text) from error

    async def _read(self, receive: Receive, most: int) -> list[Message]:
        """The messages of the body, or of a sender that left."""
        found, size = [], 0
        while True:
            message = await receive()
            found.append(message)
            size += len(message.get("body", b""))
            if size > most:
                raise self._too_large()
            if not message.get("more_body", False):
                return found

    def _too_large(self) -> Problem:
        most = self._api.services.config.max_body_bytes
        return Problem(413, "too-large", f"a body may have {most:,} bytes: send less at a time")


async def _discarded(receive: Receive, most: int) -> None:
    """Lets a sender finish, within reason: many read no answer before."""
    try:
        async with asyncio.timeout(DISCARD_S):
            while most > 0:
                message = await receive()
                most -= len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
    except TimeoutError:
        return


def _replayed(messages: list[Message], receive: Receive) -> Receive:
    ahead = iter(messages)

    async def next_message() -> Message:
        message = next(ahead, None)
        return await receive() if message is None else message

    return next_message
