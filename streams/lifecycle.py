"""What `with` does to the things that run in the background from `start` to `close`."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Startable(ABC):
    """Starts at the beginning of the block and closes at its end."""

    @abstractmethod
    def start(self) -> Self:
        """Begins; for owners that end with `close`."""

    @abstractmethod
    def close(self) -> None:
        """Ends it."""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
