"""Changing the registry from a request: one command, answered once its effect can be read."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from agents.access.authorise import Principal
from agents.errors import CommandRefused, RegistryConflict, Unavailable
from agents.registry.client import Sender
from api.conditions import reused
from api.problems import unavailable
from api.services import Services
from schemas.commands import Change

REMEMBERED = 10_000
"""Idempotency keys of this process, so that one is not used for two entities. That a request takes
effect once does not rest on this: the registry remembers the commands that changed an entity."""
BUSY_RETRY_S = 2.0
CATCH_UP_S = 2.0
T = TypeVar("T")


class Writer:
    """One per app. A bounded number of writes wait for Kafka at a time; more are told to come back,
    so that they never hold up reads."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._most = services.config.concurrent_writes
        self._threads = ThreadPoolExecutor(self._most, "registry-write")
        self._under_way = 0
        self._used: OrderedDict[str, str] = OrderedDict()

    async def submit(
        self, changes: Sequence[Change], principal: Principal, command_id: str | None
    ) -> Mapping[str, int]:
        """Each key's new version.

        Raises RegistryConflict, CommandRefused, Unavailable; Problem 503 when too many wait, 422
        for an idempotency key that belongs to another request.
        """
        self._remember(command_id)
        sender = Sender(principal.name, principal.scope)
        timeout_s = self._services.config.write_timeout_s
        send = partial(self._services.client.submit, changes, sender, command_id, timeout_s)
        try:
            return await self.in_thread(send)
        except (RegistryConflict, CommandRefused):
            self._forget(command_id)
            raise

    async def catch_up(self, versions: Mapping[str, int]) -> None:
        """Waits until the view shows these versions, which another writer made."""
        wait = partial(self._services.view.wait_for, versions, CATCH_UP_S)
        if not await self.in_thread(wait):
            raise Unavailable("the registry's newest state cannot be read yet", "")

    async def in_thread(self, function: Callable[[], T]) -> T:
        """Runs what waits for Kafka. Raises Problem 503 when too many wait already."""
        if self._under_way >= self._most:
            text = f"{self._most} changes are under way already"
            raise unavailable(text, BUSY_RETRY_S)
        self._under_way += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, function)
        finally:
            self._under_way -= 1

    def _remember(self, command_id: str | None) -> None:
        if command_id is None:
            return
        key, _, asked = command_id.partition(".")
        if self._used.setdefault(key, asked) != asked:
            raise reused()
        if len(self._used) > REMEMBERED:
            self._used.popitem(last=False)

    def _forget(self, command_id: str | None) -> None:
        """A command that was refused left no trace: its key may be used again."""
        if command_id is not None:
            self._used.pop(command_id.partition(".")[0], None)
