"""The package's logger, and a way to warn of what keeps happening without flooding it."""

import logging
import threading
import time

from rheostat_client import forking

log = logging.getLogger("rheostat_client")


class Nagger:
    """Warns of each kind of trouble at most once in `every_s`, with the count since the last."""

    def __init__(self, every_s: float = 30.0) -> None:
        self._every_s = every_s
        self._state: dict[str, tuple[float, int]] = {}
        self.forked()
        forking.watch(self)

    def forked(self) -> None:
        """Another thread of the parent may have held the lock."""
        self._lock = threading.Lock()

    def warn(self, kind: str, message: str) -> None:
        now = time.monotonic()
        with self._lock:
            last, missed = self._state.get(kind, (-self._every_s, 0))
            if now - last < self._every_s:
                self._state[kind] = (last, missed + 1)
                return
            self._state[kind] = (now, 0)
        more = f" ({missed} more since the last warning)" if missed else ""
        log.warning("%s%s", message, more)


class _OnceIn(logging.Filter):
    """Lets one line through in `every_s`: librdkafka repeats itself while a broker is away."""

    def __init__(self, every_s: float) -> None:
        super().__init__()
        self._every_s = every_s
        self._last_s = float("-inf")

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002  logging's signature
        now = time.monotonic()
        if now < self._last_s + self._every_s:
            return False
        self._last_s = now
        return True


librdkafka_log = logging.getLogger("rheostat_client.librdkafka")
librdkafka_log.addFilter(_OnceIn(30.0))
