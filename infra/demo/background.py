"""A thread with an end: told to stop when its block ends, its failure raised there."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Task:
    """Work that runs in a thread. `work` gets the event that tells it to stop."""

    def __init__(self, name: str, work: Callable[[threading.Event], None]) -> None:
        self._work = work
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return not self._thread.is_alive()

    def start(self) -> None:
        """Returns at once."""
        self._thread.start()

    def check(self) -> None:
        """Raises what the work raised, if it did."""
        if self._failure is not None:
            raise self._failure

    def end(self) -> None:
        """Tells it to stop and waits until it has."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._work(self._stop)
        except BaseException as failure:
            self._failure = failure


@contextmanager
def background(name: str, work: Callable[[threading.Event], None]) -> Iterator[Task]:
    """Runs the work beside the block; raises its failure unless the block raised before."""
    task = Task(name, work)
    task.start()
    try:
        yield task
    finally:
        task.end()
    task.check()
