"""What a forked child does with objects that own threads and librdkafka handles.

The child has neither the parent's threads nor librdkafka's. Destroying an inherited handle waits
for threads that do not exist, for ever (seen with confluent-kafka 2.16: the child never exits), so
a child leaks the handle on purpose and makes its own when it needs one.
"""

import ctypes
import os
import weakref
from typing import Any, Protocol


class Forkable(Protocol):
    """Something that must be told when it finds itself in a forked child."""

    def forked(self) -> None:
        """Forgets threads, locks and handles of the parent. Runs in the child, alone."""
        ...


_living: "weakref.WeakSet[Any]" = weakref.WeakSet()


def watch(thing: Forkable) -> None:
    """Calls `thing.forked()` in every child forked while `thing` lives."""
    _living.add(thing)


def leak(handle: object) -> None:
    """Keeps `handle` from ever being destroyed in this process."""
    if handle is not None:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(handle))


def _in_child() -> None:
    for thing in list(_living):
        thing.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
