"""Closes what is still open when a process ends, so that the last events and updates are kept."""

import atexit
import weakref
from multiprocessing import util
from typing import Any, Protocol

from rheostat_client.logs import log


class Closeable(Protocol):
    """Something that ends in bounded time."""

    def close(self) -> object: ...


_open: "weakref.WeakSet[Any]" = weakref.WeakSet()


def at_exit(thing: Closeable) -> None:
    """Calls `thing.close()` when this process, or a forked one, ends in an orderly way."""
    _open.add(thing)


def started_in_this_process() -> None:
    """Says that this process owns threads now.

    A multiprocessing child leaves by os._exit, past atexit, but runs these finalizers.
    """
    util.Finalize(None, _close_all, exitpriority=10)


def _close_all() -> None:
    for thing in list(_open):
        _close(thing)


def _close(thing: Closeable) -> None:
    try:
        thing.close()
    except Exception:  # the others still have to be closed
        log.exception("%s could not be closed", type(thing).__name__)


atexit.register(_close_all)
