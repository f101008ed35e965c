"""A fuse in a client: it blows before or after the n-th call of one method."""

import os
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

When = Literal["before", "after"]


class Crash(BaseException):
    """The process is gone: nothing after this line of it runs."""


def crash() -> None:
    """As kill -9 for a worker in a thread, as far as a thread can go."""
    raise Crash


def kill() -> None:
    """kill -9 of this process."""
    os.kill(os.getpid(), signal.SIGKILL)


def stop() -> None:
    """Stops this process until somebody continues it."""
    os.kill(os.getpid(), signal.SIGSTOP)


@dataclass(slots=True)
class Fused:
    """`target`, but for the call of `method` number `nth` (from 0). Calls are counted by name."""

    target: Any
    method: str
    nth: int
    when: When
    blow: Callable[[], None]
    calls: Counter[str] = field(default_factory=Counter)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.target, name)
        if name != self.method:
            return found

        def called(*args: Any, **kwargs: Any) -> Any:
            number = self.calls[name]
            self.calls[name] += 1
            if number == self.nth and self.when == "before":
                self.blow()
            result = found(*args, **kwargs)
            if number == self.nth and self.when == "after":
                self.blow()
            return result

        return called
