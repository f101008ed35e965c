"""What every part of the bench is given: servers, sizes, and how to tell what it does."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from bench.lab import Lab


@dataclass(frozen=True, slots=True)
class Context:
    """`events`: of the large runs. `rounds`: how often compared runs alternate."""

    lab: Lab
    console: Console
    events: int = 2_000_000
    rounds: int = 3
    steady_s: float = 60.0
    rate_per_s: int = 10_000
    full: bool = False

    def say(self, text: str) -> None:
        """One line about what happens now."""
        self.console.print(f"  {text}", highlight=False, markup=False)

    @contextmanager
    def progress(self, text: str, total: float) -> Iterator[Callable[[float], None]]:
        """A bar; call what it yields with how much was done since the last call."""
        columns = (TextColumn("  {task.description}"), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self.console) as bar:
            task = bar.add_task(text, total=total)
            yield lambda done: bar.advance(task, done)
