"""What happens once between the servers and the workers: creating topics, applying migrations."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import structlog

from infra.errors import NotReachable
from infra.process import Backoff

log = structlog.get_logger("rheostat")


@dataclass(frozen=True, slots=True)
class Step:
    """Something to do once, when its needs are ready. It may take its time and be repeated."""

    name: str
    needs: Sequence[str]
    action: Callable[[], None]


@dataclass(slots=True)
class StepRun:
    """A step in a thread of its own, so that the supervisor goes on watching meanwhile.

    NotReachable means: try again, later and later. Any other error is the owner's to handle.
    """

    step: Step
    done: bool = False
    _backoff: Backoff = field(default_factory=lambda: replace(Backoff(), longest_s=10.0))
    _thread: threading.Thread | None = None
    _error: BaseException | None = None

    def advance(self, now_s: float) -> None:
        """Starts the step, or looks what became of it. Raises what the step raised."""
        if self.done:
            return
        if self._thread is None:
            if self._backoff.may_start(now_s):
                self._error = None
                self._thread = threading.Thread(target=self._run, name=self.step.name, daemon=True)
                self._thread.start()
        elif not self._thread.is_alive():
            self._thread = None
            self._conclude(now_s)

    def _run(self) -> None:
        try:
            self.step.action()
        except BaseException as error:
            self._error = error

    def _conclude(self, now_s: float) -> None:
        if self._error is None:
            self.done = True
            log.info("done", step=self.step.name)
        elif isinstance(self._error, NotReachable):
            self._backoff = self._backoff.died(now_s, now_s)
            log.warning(
                "waiting to try again",
                step=self.step.name,
                in_s=round(self._backoff.start_at_s - now_s, 1),
                why=str(self._error),
            )
        else:
            raise self._error
